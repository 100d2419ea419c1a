/* A plugin that needs both grants. Its config is a number: `configure` refuses with the time and so many random bytes. With a
 * text instead it ends itself. */
import { Json, Plugin, now, randomBytes, register } from "../../../../plugins/sdk-assemblyscript/sluicegate";

class Host extends Plugin {
  configure(config: Json): string | null {
    const behaviour = config.text();
    if (behaviour == "throw") throw new Error("a value that no log may hold");
    if (behaviour == "index") return [behaviour][1];
    const bytes = randomBytes(<u32>config.int());
    let shown = "";
    for (let i = 0; i < min(bytes.length, 16); i++) shown += bytes[i].toString(16).padStart(2, "0");
    return now().toString() + " " + bytes.length.toString() + " " + shown;
  }
}

register(new Host("host", "1.0.0", "reads the clock and random bytes"));
