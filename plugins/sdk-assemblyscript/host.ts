/* What the host gives. Each of these is imported only by plugins that use it; the clock and randomness need a grant. */
import { close, closed } from "./memory";
import { encode, mostBytes, sayable } from "./text";

// @ts-ignore: decorator
@external("sluicegate:plugin/log@1.0.0", "log")
declare function hostLog(level: i32, text: usize, length: usize): void;
// @ts-ignore: decorator
@external("sluicegate:plugin/clock@1.0.0", "now")
declare function hostNow(): i64;
// @ts-ignore: decorator
@external("sluicegate:plugin/random@1.0.0", "get-bytes")
declare function hostRandom(count: u32, list: usize): void;

export enum Level {
  Trace,
  Debug,
  Info,
  Warn,
  Error,
}

/** Writes a line to the host's log. Never log row values. */
export function log(level: Level, message: string): void {
  const text = sayable(message);
  const block = heap.alloc(mostBytes(text) + 1);
  hostLog(level, block, encode(text, block) - block);
  heap.free(block);
}

/** The time of day, in microseconds since 1970-01-01 UTC. For plugins with `grants: [clock]`. */
export function now(): i64 {
  return hostNow();
}

/** So many random bytes, fit for keys; at most 65,536 in a call. For plugins with `grants: [random]`. */
export function randomBytes(count: u32): Uint8Array {
  const list = memory.data(8, 4);
  hostRandom(count, list);
  const bytes = new Uint8Array(load<u32>(list, 4));
  memory.copy(bytes.dataStart, load<usize>(list), bytes.length);
  return bytes;
}

/** Whatever ends a call (`throw`, an index out of range): the log gets the place, and the words of the language or of the SDK. A
 * text that the plugin throws may hold row values. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  if (!closed) {
    close(true); // telling may fail as well
    const known = message != null && ((file != null && file.startsWith("~lib/")) || message.startsWith("sluicegate: "));
    const place = file == null ? "an unknown place" : file + ":" + line.toString() + ":" + column.toString();
    log(Level.Error, (known && message != null ? message : "ended") + " at " + place);
  }
  unreachable();
}
