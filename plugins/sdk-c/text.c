/* Text, and the configuration: the part of the SDK that touches no rows. */
#include "internal.h"

/* ---- text ------------------------------------------------------------------------------------------------------------- */

bool sg_equal(sg_str a, sg_str b) { return a.ptr && b.ptr && a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }
bool sg_starts_with(sg_str text, sg_str start) {
  return text.ptr && text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}
bool sg_ends_with(sg_str text, sg_str end) {
  return text.ptr && text.len >= end.len && memcmp(text.ptr + text.len - end.len, end.ptr, end.len) == 0;
}
sg_str sg_from_last(sg_str text, char c) {
  sg_str none = {NULL, 0};
  for (size_t i = text.ptr ? text.len : 0; i-- > 0;)
    if (text.ptr[i] == c) {
      sg_str found = {text.ptr + i, text.len - i};
      return found;
    }
  return none;
}

/* ---- configuration ---------------------------------------------------------------------------------------------------- */

static const sg_json absent = {"null", 4};

static size_t after_space(sg_json s, size_t i) {
  while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == '\n' || s.ptr[i] == '\r')) i++;
  return i;
}

/* The end of the value that begins at i. */
static size_t after_value(sg_json s, size_t i) {
  bool quoted = false;
  size_t depth = 0;
  for (; i < s.len; i++) {
    char c = s.ptr[i];
    if (quoted) {
      if (c == '\\') i++;
      else if (c == '"') {
        quoted = false;
        if (depth == 0) return i + 1;
      }
    } else if (c == '"') quoted = true;
    else if (c == '{' || c == '[') depth++;
    else if (depth == 0 && (c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) return i;
    else if ((c == '}' || c == ']') && --depth == 0) return i + 1;
  }
  return s.len;
}

static sg_json part(sg_json s, size_t from, size_t to) {
  sg_json found = {s.ptr + from, (to < s.len ? to : s.len) - from};
  return found;
}

sg_json sg_json_get(sg_json object, const char *name) {
  size_t i = after_space(object, 0);
  if (i >= object.len || object.ptr[i] != '{') return absent;
  for (i = after_space(object, i + 1); i < object.len && object.ptr[i] == '"'; i = after_space(object, i + 1)) {
    size_t end = after_value(object, i);
    sg_str key;
    bool found = sg_json_text(part(object, i, end), &key) && key.len == strlen(name) && memcmp(key.ptr, name, key.len) == 0;
    i = after_space(object, after_space(object, end) + 1); /* past the colon */
    if (i >= object.len) break;
    end = after_value(object, i);
    if (found) return part(object, i, end);
    i = after_space(object, end); /* at the comma, or at the end */
  }
  return absent;
}

sg_json sg_json_item(sg_json array, size_t n) {
  size_t i = after_space(array, 0);
  if (i >= array.len || array.ptr[i] != '[') return absent;
  for (i = after_space(array, i + 1); i < array.len && array.ptr[i] != ']'; i = after_space(array, i + 1)) {
    size_t end = after_value(array, i);
    if (n-- == 0) return part(array, i, end);
    i = after_space(array, end);
  }
  return absent;
}

bool sg_json_is_null(sg_json value) { return value.len == 4 && memcmp(value.ptr, "null", 4) == 0; }

bool sg_json_bool(sg_json value, bool *out) {
  bool yes = value.len == 4 && memcmp(value.ptr, "true", 4) == 0;
  if (!yes && !(value.len == 5 && memcmp(value.ptr, "false", 5) == 0)) return false;
  *out = yes;
  return true;
}

bool sg_json_int(sg_json value, int64_t *out) {
  bool negative = value.len > 0 && value.ptr[0] == '-';
  uint64_t number = 0, most = (uint64_t)INT64_MAX + negative;
  if (value.len == (size_t)negative) return false;
  for (size_t i = negative; i < value.len; i++) {
    uint64_t digit = (uint64_t)(value.ptr[i] - '0');
    if (digit > 9 || number > (most - digit) / 10) return false;
    number = number * 10 + digit;
  }
  *out = negative ? (int64_t)(0 - number) : (int64_t)number;
  return true;
}

static bool hex4(sg_str s, size_t i, uint32_t *out) {
  *out = 0;
  for (size_t end = i + 4; i < end; i++) {
    if (i >= s.len) return false;
    uint8_t c = (uint8_t)s.ptr[i] | 0x20;
    if (c >= '0' && c <= '9') *out = *out << 4 | (uint32_t)(c - '0');
    else if (c >= 'a' && c <= 'f') *out = *out << 4 | (uint32_t)(c - 'a' + 10);
    else return false;
  }
  return true;
}

static size_t put_utf8(char *to, uint32_t c) {
  size_t more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
  to[0] = (char)(lead[more] | c >> 6 * more);
  for (size_t i = 1; i <= more; i++) to[i] = (char)(0x80 | (c >> 6 * (more - i) & 0x3f));
  return more + 1;
}

bool sg_json_text(sg_json value, sg_str *out) {
  if (value.len < 2 || value.ptr[0] != '"' || value.ptr[value.len - 1] != '"') return false;
  sg_str inner = {value.ptr + 1, value.len - 2};
  if (!memchr(inner.ptr, '\\', inner.len)) {
    *out = inner;
    return true;
  }
  static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  char *text = NEW(char, inner.len);
  size_t length = 0;
  for (size_t i = 0; i < inner.len; i++) {
    if (inner.ptr[i] != '\\') {
      text[length++] = inner.ptr[i];
      continue;
    }
    if (++i >= inner.len) return false;
    uint32_t c, low;
    if (inner.ptr[i] == 'u') {
      if (!hex4(inner, i + 1, &c)) return false;
      i += 4;
      if (c >= 0xd800 && c < 0xdc00 && i + 2 < inner.len && inner.ptr[i + 1] == '\\' && inner.ptr[i + 2] == 'u' && hex4(inner, i + 3, &low)) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
      }
      if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
      length += put_utf8(text + length, c);
    } else {
      const char *escape = strchr(escapes, inner.ptr[i]);
      if (!escape || !*escape) return false;
      text[length++] = meant[escape - escapes];
    }
  }
  out->ptr = text;
  out->len = length;
  return true;
}
