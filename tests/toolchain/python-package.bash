# Sourced, after server.bash. python_package NAME VERSION: installs the package into a folder of its own, and prints that.

python_package() {
  local package=$1 version=$2
  local home=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/$package-$version
  [ -e "$home/complete" ] || locked "$package" install_python_package "$package" "$version" "$home" >&2
  echo "$home"
}

install_python_package() {
  local package=$1 version=$2 home=$3
  [ ! -e "$home/complete" ] || return 0
  # Debian's Python comes without the means to make such a folder
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-with-venv python3 python3-venv
  echo "$name: installing $package $version"
  rm -rf "$home"
  python3 -m venv "$home" || fail "python3 -m venv $home failed; see above"
  "$home/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$package==$version" ||
    fail "pip cannot install $package $version; see above"
  touch "$home/complete"
}
