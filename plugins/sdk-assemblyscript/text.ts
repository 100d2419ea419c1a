/* UTF-8, as text crosses, and UTF-16, as AssemblyScript holds it. Both ways are exact, or refused: nothing is replaced. */

/** The text of `length` bytes; null when they are no UTF-8. */
export function decode(from: usize, length: usize): string | null {
  if (length == 0) return "";
  // no text has more units of 16 bits than bytes
  const text = changetype<string>(__new(length << 1, idof<string>()));
  const start = changetype<usize>(text);
  let to = start;
  const end = from + length;
  while (end - from >= 16) {
    const bytes = v128.load(from);
    if (i8x16.bitmask(bytes)) break;
    v128.store(to, i16x8.extend_low_i8x16_u(bytes));
    v128.store(to, i16x8.extend_high_i8x16_u(bytes), 16);
    from += 16;
    to += 32;
  }
  while (from < end) {
    const lead = <u32>load<u8>(from++);
    if (lead < 0x80) {
      store<u16>(to, <u16>lead);
      to += 2;
      continue;
    }
    const more: usize = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - from < more) return null;
    let point = lead & (0x3f >> <u32>more);
    for (let i: usize = 0; i < more; i++) {
      const next = <u32>load<u8>(from++);
      if ((next & 0xc0) != 0x80) return null;
      point = (point << 6) | (next & 0x3f);
    }
    // overlong forms, halves of surrogate pairs, and what lies behind the last character
    if ((more == 2 && (point < 0x800 || (point & 0xf800) == 0xd800)) || (more == 3 && (point < 0x10000 || point > 0x10ffff))) return null;
    if (point < 0x10000) {
      store<u16>(to, <u16>point);
      to += 2;
    } else {
      point -= 0x10000;
      store<u16>(to, <u16>(0xd800 | (point >> 10)));
      store<u16>(to, <u16>(0xdc00 | (point & 0x3ff)), 2);
      to += 4;
    }
  }
  return to - start == length << 1 ? text : changetype<string>(__renew(start, to - start));
}

/** The most bytes that a text takes as UTF-8. */
// @ts-ignore: decorator
@inline
export function mostBytes(text: string): usize {
  return <usize>text.length * 3;
}

/** Writes the text as UTF-8 to memory that holds `mostBytes`. Answers the end; 0 when a half of a surrogate pair stands alone. */
export function encode(text: string, to: usize): usize {
  let from = changetype<usize>(text);
  const end = from + ((<usize>text.length) << 1);
  while (end - from >= 32) {
    const low = v128.load(from);
    const high = v128.load(from, 16);
    if (v128.any_true(v128.and(v128.or(low, high), i16x8.splat(<i16>0xff80)))) break;
    v128.store(to, i8x16.narrow_i16x8_u(low, high));
    from += 32;
    to += 16;
  }
  while (from < end) {
    let point = <u32>load<u16>(from);
    from += 2;
    if (point < 0x80) {
      store<u8>(to++, <u8>point);
      continue;
    }
    if (point < 0x800) {
      store<u8>(to++, <u8>(0xc0 | (point >> 6)));
    } else {
      if ((point & 0xf800) == 0xd800) {
        const low = from < end ? <u32>load<u16>(from) : 0;
        if (point >= 0xdc00 || (low & 0xfc00) != 0xdc00) return 0;
        from += 2;
        point = 0x10000 + ((point & 0x3ff) << 10) + (low & 0x3ff);
        store<u8>(to++, <u8>(0xf0 | (point >> 18)));
        store<u8>(to++, <u8>(0x80 | ((point >> 12) & 0x3f)));
      } else {
        store<u8>(to++, <u8>(0xe0 | (point >> 12)));
      }
      store<u8>(to++, <u8>(0x80 | ((point >> 6) & 0x3f)));
    }
    store<u8>(to++, <u8>(0x80 | (point & 0x3f)));
  }
  return to;
}

/** A text for people: one that cannot be written says so. */
export function sayable(text: string): string {
  const scratch = heap.alloc(mostBytes(text) + 1);
  const whole = encode(text, scratch) != 0;
  heap.free(scratch);
  return whole ? text : "the plugin's message holds half of a surrogate pair, and cannot be told";
}
