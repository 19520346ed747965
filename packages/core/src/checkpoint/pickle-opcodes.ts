import {
  describe,
  PickleGlobal,
  type PickleKey,
  type PickleMachine,
  type PickleValue,
  plainInteger,
} from "./pickle-machine.ts";

/** `_rebuild_tensor_v3` has eight. */
const MAX_ARGUMENTS = 16;

type Opcode = (machine: PickleMachine) => void;

/**
 * The opcodes that are executed, by code; every other is refused. Names and meaning are those of CPython's
 * `pickletools.py`. Left out on purpose: `INST`, `OBJ` (old-style classes), `EXT*` (registry), `PERSID`, `BYTEARRAY8`,
 * `NEXT_BUFFER`, `READONLY_BUFFER` (out-of-band data), sets, and the text forms `STRING`, `UNICODE` of protocol 0, in which
 * torch cannot save.
 */
export const PICKLE_OPCODES: ReadonlyMap<number, Opcode> = new Map<number, Opcode>([
  // Framing
  [0x80, (m) => void m.uint8()], // PROTO
  [0x95, (m) => void m.uint64()], // FRAME: a hint only
  [0x2e, (m) => m.stop()], // STOP

  // Constants
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4a, (m) => m.push(m.int32())], // BININT
  [0x4b, (m) => m.push(m.uint8())], // BININT1
  [0x4d, (m) => m.push(m.uint16())], // BININT2
  [0x8a, (m) => m.push(m.integer(m.uint8()))], // LONG1
  [0x8b, (m) => m.push(m.integer(m.uint32()))], // LONG4
  [0x49, (m) => m.push(textInteger(m))], // INT
  [0x4c, (m) => m.push(textInteger(m))], // LONG
  [0x47, (m) => m.push(m.float64BigEndian())], // BINFLOAT
  [0x46, (m) => m.push(textFloat(m))], // FLOAT
  [0x58, (m) => m.push(m.text(m.uint32()))], // BINUNICODE
  [0x8c, (m) => m.push(m.text(m.uint8()))], // SHORT_BINUNICODE
  [0x8d, (m) => m.push(m.text(m.uint64()))], // BINUNICODE8
  [0x54, (m) => m.push(m.text(m.uint32()))], // BINSTRING: Python 2 text, ASCII in torch files
  [0x55, (m) => m.push(m.text(m.uint8()))], // SHORT_BINSTRING
  [0x42, (m) => m.push(m.take(m.uint32()))], // BINBYTES
  [0x43, (m) => m.push(m.take(m.uint8()))], // SHORT_BINBYTES
  [0x8e, (m) => m.push(m.take(m.uint64()))], // BINBYTES8

  // Stack and memo
  [0x28, (m) => m.mark()], // MARK
  [0x30, (m) => void m.pop()], // POP
  [0x31, (m) => void m.popMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
  [0x71, (m) => void m.memo.set(m.uint8(), m.top())], // BINPUT
  [0x72, (m) => void m.memo.set(m.uint32(), m.top())], // LONG_BINPUT
  [0x70, (m) => void m.memo.set(memoIndex(m), m.top())], // PUT
  [0x94, (m) => void m.memo.set(m.memo.size, m.top())], // MEMOIZE
  [0x68, (m) => recall(m, m.uint8())], // BINGET
  [0x6a, (m) => recall(m, m.uint32())], // LONG_BINGET
  [0x67, (m) => recall(m, memoIndex(m))], // GET

  // Containers
  [0x29, (m) => m.push([])], // EMPTY_TUPLE
  [0x85, (m) => m.push([m.pop()])], // TUPLE1
  [0x86, (m) => m.push([m.pop(), m.pop()].reverse())], // TUPLE2
  [0x87, (m) => m.push([m.pop(), m.pop(), m.pop()].reverse())], // TUPLE3
  [0x74, (m) => m.push(m.popMark())], // TUPLE
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x6c, (m) => m.push(m.popMark())], // LIST
  [0x61, (m) => append(m, [m.pop()])], // APPEND
  [0x65, (m) => append(m, m.popMark())], // APPENDS
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [0x64, (m) => dictionary(m, m.popMark())], // DICT
  [0x73, (m) => setItems(m, [m.pop(), m.pop()].reverse())], // SETITEM
  [0x75, (m) => setItems(m, m.popMark())], // SETITEMS

  // Classes
  [0x63, (m) => m.push(m.global(m.line(), m.line()))], // GLOBAL
  [0x93, stackGlobal], // STACK_GLOBAL
  [0x52, call], // REDUCE
  [0x81, call], // NEWOBJ
  [0x92, callWithNames], // NEWOBJ_EX
  [0x62, build], // BUILD
  [0x51, (m) => m.push(m.rules.persistent(m.pop(), m.where))], // BINPERSID
]);

function textInteger(m: PickleMachine): number | bigint | boolean {
  const line = m.line();
  if (line === "00") return false; // Protocol 1 writes booleans so.
  if (line === "01") return true;
  const digits = line.endsWith("L") ? line.slice(0, -1) : line;
  if (!/^-?\d{1,600}$/.test(digits))
    return m.fail("FORMAT_INVALID", "expected a decimal integer. The file is corrupt.");
  return plainInteger(BigInt(digits));
}

function textFloat(m: PickleMachine): number {
  const line = m.line();
  const value = { inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, nan: Number.NaN }[line];
  if (value !== undefined) return value;
  if (!/^-?\d+(\.\d*)?(e[-+]?\d+)?$/.test(line))
    return m.fail("FORMAT_INVALID", "expected a float. The file is corrupt.");
  return Number(line);
}

function memoIndex(m: PickleMachine): number {
  const line = m.line();
  return /^\d{1,10}$/.test(line)
    ? Number(line)
    : m.fail("FORMAT_INVALID", "expected a memo index. The file is corrupt.");
}

function recall(m: PickleMachine, index: number): void {
  const value = m.memo.get(index);
  if (value === undefined) m.fail("FORMAT_INVALID", `memo ${index} is empty. The file is corrupt.`);
  m.push(value);
}

function append(m: PickleMachine, items: PickleValue[]): void {
  const list = m.top();
  if (!Array.isArray(list)) m.fail("FORMAT_INVALID", `expected a list to append to, got ${describe(list)}.`);
  for (const item of items) list.push(item);
}

function dictionary(m: PickleMachine, items: PickleValue[]): void {
  m.push(new Map());
  setItems(m, items);
}

function setItems(m: PickleMachine, items: PickleValue[]): void {
  const map = m.top();
  if (!(map instanceof Map)) m.fail("FORMAT_INVALID", `expected a dictionary to set items of, got ${describe(map)}.`);
  if (items.length % 2 !== 0) m.fail("FORMAT_INVALID", "expected pairs of keys and values. The file is corrupt.");
  for (let i = 0; i < items.length; i += 2) map.set(key(m, items[i]), items[i + 1]);
}

function key(m: PickleMachine, value: PickleValue): PickleKey {
  if (typeof value !== "object" || value === null) return value;
  return m.fail("FORMAT_UNSUPPORTED", `expected text, a number or None as a key, got ${describe(value)}.`);
}

function stackGlobal(m: PickleMachine): void {
  const name = m.pop();
  const module = m.pop();
  if (typeof module !== "string" || typeof name !== "string") {
    m.fail("FORMAT_INVALID", "expected the names of a module and a class. The file is corrupt.");
  }
  m.push(m.global(module, name));
}

function call(m: PickleMachine): void {
  const args = m.popArray();
  const callable = m.pop();
  if (!(callable instanceof PickleGlobal) || callable.build === undefined) {
    m.fail("FORMAT_INVALID", `expected a function of the allow-list to call, got ${describe(callable)}.`);
  }
  if (args.length > MAX_ARGUMENTS)
    m.fail("FORMAT_INVALID", `expected few arguments, got ${args.length}. The file is corrupt.`);
  // A builder may walk an argument once, and the same long list can be given to a million calls.
  for (const arg of args) m.charge(typeof arg === "string" || Array.isArray(arg) ? arg.length : 0);
  m.push(callable.build(args, m.where));
}

function callWithNames(m: PickleMachine): void {
  const names = m.pop();
  if (!(names instanceof Map && names.size === 0)) m.fail("FORMAT_UNSUPPORTED", "arguments by name are not read.");
  call(m);
}

/** State of an object. torch gives one to `OrderedDict` only (its `_metadata`), and nothing here needs it. */
function build(m: PickleMachine): void {
  m.pop();
  if (!(m.top() instanceof Map))
    m.fail("FORMAT_UNSUPPORTED", `expected a dictionary to give a state to, got ${describe(m.top())}.`);
}
