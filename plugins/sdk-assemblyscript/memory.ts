/* Memory that crosses the boundary: lists and strings that the host hands over, and those that it is answered with. It is no
 * memory of the garbage collector. What the host hands over lives until the call ends, an answer until the host has read it. */

/** Whether the host may not be called: while it asks for memory, and after a call. */
// @ts-ignore: decorator
@lazy
export let closed = false;
export function close(yes: bool): void {
  closed = yes;
}

/** Blocks that are freed together. */
export class Blocks {
  private list: usize = 0;
  private count: usize = 0;
  private room: usize = 0;

  add(block: usize): void {
    if (this.count == this.room) {
      const room = max<usize>(this.room * 2, 32);
      const list = heap.alloc(room * sizeof<usize>());
      memory.copy(list, this.list, this.count * sizeof<usize>());
      if (this.list) heap.free(this.list);
      this.list = list;
      this.room = room;
    }
    store<usize>(this.list + this.count++ * sizeof<usize>(), block);
  }

  /** Frees one of them, which a larger one stands in for. */
  release(block: usize): void {
    let i = this.count;
    while (load<usize>(this.list + --i * sizeof<usize>()) != block) if (i == 0) unreachable();
    store<usize>(this.list + i * sizeof<usize>(), load<usize>(this.list + --this.count * sizeof<usize>()));
    heap.free(block);
  }

  free(): void {
    for (let i: usize = 0; i < this.count; i++) heap.free(load<usize>(this.list + i * sizeof<usize>()));
    this.count = 0;
  }
}

/** What the host handed over. */
export const given = new Blocks();
/** What it is answered with. */
export const answered = new Blocks();

/** The canonical ABI's `cabi_realloc`. Every block is aligned to 16 bytes, which is more than any type asks for. */
export function realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  if (size == 0) return align;
  const block = heap.alloc(size);
  given.add(block);
  if (oldSize) {
    memory.copy(block, old, min(oldSize, size));
    given.release(old);
  }
  return block;
}

/** Memory for an answer; an empty list has none. */
export function answer(size: usize): usize {
  if (size == 0) return 0;
  const block = heap.alloc(size);
  answered.add(block);
  return block;
}
