/* A transform of the compiler: an export of AssemblyScript is called by an identifier, those of a plugin by the names that the
 * canonical ABI gives them. What else a source exports is no business of the host, and goes. */
const INTERFACE = "sluicegate:plugin/transform@1.0.0";
const FUNCTIONS = ["describe", "configure", "plan", "apply"];

export default class {
  afterCompile(module) {
    const internal = (name) => {
      const found = module.getExport(name);
      if (!found) throw new Error(`${name} is not exported: compile sdk/exports.ts beside the plugin`);
      return this.binaryen.getExportInfo(found).value;
    };
    const exports = [["cabi_realloc", internal("sluicegate_realloc")], ["_initialize", internal("_initialize")]];
    for (const name of FUNCTIONS) {
      exports.push([`${INTERFACE}#${name}`, internal(`sluicegate_${name}`)]);
      exports.push([`cabi_post_${INTERFACE}#${name}`, internal("sluicegate_after")]);
    }
    const all = Array.from({ length: module.getNumExports() }, (_, i) => this.binaryen.getExportInfo(module.getExportByIndex(i)));
    for (const { name } of all) if (name !== "memory") module.removeExport(name);
    for (const [name, value] of exports) module.addFunctionExport(value, name);
  }
}
