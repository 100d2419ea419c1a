/* The configuration: JSON, read where it stands. The host has parsed it before. */

/** A JSON value; what is absent reads as null. */
export class Json {
  constructor(
    /** The JSON text of this value. */
    readonly raw: string,
  ) {}

  get isNull(): bool {
    return this.raw == "null";
  }
  get isObject(): bool {
    return this.first() == 0x7b;
  }
  get isArray(): bool {
    return this.first() == 0x5b;
  }

  /** The member of an object, or null. */
  get(name: string): Json {
    for (let i = this.isObject ? 1 : this.raw.length; (i = afterSpace(this.raw, i)) < this.raw.length && at(this.raw, i) == 0x22; i++) {
      let end = afterValue(this.raw, i);
      const key = new Json(this.raw.substring(i, end)).text();
      i = afterSpace(this.raw, afterSpace(this.raw, end) + 1); // past the colon
      end = afterValue(this.raw, i);
      if (key != null && key == name) return new Json(this.raw.substring(i, end));
      i = afterSpace(this.raw, end); // at the comma, or at the end
    }
    return new Json("null");
  }

  /** The items of an array; of anything else none. */
  items(): Json[] {
    const items: Json[] = [];
    for (let i = this.isArray ? 1 : this.raw.length; (i = afterSpace(this.raw, i)) < this.raw.length && at(this.raw, i) != 0x5d; i++) {
      const end = afterValue(this.raw, i);
      items.push(new Json(this.raw.substring(i, end)));
      i = afterSpace(this.raw, end);
    }
    return items;
  }

  /** A text; null when the value is none. */
  text(): string | null {
    if (this.raw.length < 2 || this.first() != 0x22) return null;
    const end = this.raw.length - 1;
    if (this.raw.indexOf("\\") < 0) return this.raw.substring(1, end);
    let text = "";
    let i = 1;
    while (i < end) {
      const escape = this.raw.indexOf("\\", i);
      if (escape < 0) return text + this.raw.substring(i, end);
      text += this.raw.substring(i, escape);
      const kind = at(this.raw, escape + 1);
      i = escape + 2;
      if (kind == 0x75) {
        const unit = hex4(this.raw, i);
        if (unit < 0) return null;
        text += String.fromCharCode(unit);
        i += 4;
      } else {
        const place = '"\\/bfnrt'.indexOf(String.fromCharCode(kind));
        if (place < 0) return null;
        text += '"\\/\b\f\n\r\t'.charAt(place);
      }
    }
    return text;
  }

  /** Whether it is an integer that an i64 holds. */
  get isInt(): bool {
    const negative = this.first() == 0x2d;
    const most = <u64>i64.MAX_VALUE + <u64>negative;
    let number: u64 = 0;
    if (this.raw.length == <i32>negative) return false;
    for (let i = <i32>negative; i < this.raw.length; i++) {
      const digit = <u64>(at(this.raw, i) - 0x30);
      if (digit > 9 || number > (most - digit) / 10) return false;
      number = number * 10 + digit;
    }
    return true;
  }

  /** An integer; `otherwise` when the value is none. */
  int(otherwise: i64 = 0): i64 {
    if (!this.isInt) return otherwise;
    const negative = this.first() == 0x2d;
    let number: u64 = 0;
    for (let i = <i32>negative; i < this.raw.length; i++) number = number * 10 + <u64>(at(this.raw, i) - 0x30);
    return negative ? <i64>(0 - number) : <i64>number;
  }

  get isBool(): bool {
    return this.raw == "true" || this.raw == "false";
  }

  /** A boolean; `otherwise` when the value is none. */
  bool(otherwise: bool = false): bool {
    return this.isBool ? this.raw == "true" : otherwise;
  }

  private first(): i32 {
    return at(this.raw, 0);
  }
}

/** The configuration without the space around it. */
export function parse(text: string): Json {
  const from = afterSpace(text, 0);
  return new Json(text.substring(from, afterValue(text, from)));
}

/** The unit at i; behind the end -1. */
function at(text: string, i: i32): i32 {
  return <u32>i < <u32>text.length ? text.charCodeAt(i) : -1;
}

function isSpace(unit: i32): bool {
  return unit == 0x20 || unit == 0x09 || unit == 0x0a || unit == 0x0d;
}

function afterSpace(text: string, i: i32): i32 {
  while (isSpace(at(text, i))) i++;
  return i;
}

/** The end of the value that begins at i. */
function afterValue(text: string, i: i32): i32 {
  let quoted = false;
  let depth = 0;
  for (; i < text.length; i++) {
    const unit = at(text, i);
    if (quoted) {
      if (unit == 0x5c) i++;
      else if (unit == 0x22) {
        quoted = false;
        if (depth == 0) return i + 1;
      }
    } else if (unit == 0x22) quoted = true;
    else if (unit == 0x7b || unit == 0x5b) depth++;
    else if (depth == 0 && (unit == 0x2c || unit == 0x7d || unit == 0x5d || isSpace(unit))) return i;
    else if ((unit == 0x7d || unit == 0x5d) && --depth == 0) return i + 1;
  }
  return i;
}

/** Four hexadecimal digits; -1 when there are none. */
function hex4(text: string, i: i32): i32 {
  let number = 0;
  for (const end = i + 4; i < end; i++) {
    const unit = at(text, i);
    const letter = unit | 0x20;
    if (unit >= 0x30 && unit <= 0x39) number = (number << 4) | (unit - 0x30);
    else if (letter >= 0x61 && letter <= 0x66) number = (number << 4) | (letter - 0x57);
    else return -1;
  }
  return number;
}
