import { PICKLE_ENDED, PickleMachine, type PickleRules, type PickleValue } from "./pickle-machine.ts";
import { PICKLE_OPCODES } from "./pickle-opcodes.ts";

/**
 * Reads one pickle from `bytes` at `start`; `end` is the position behind it. Undefined where the bytes end before the
 * pickle does.
 *
 * An interpreter of the pickle protocols 0 to 5 (CPython `Lib/pickletools.py`) as far as `torch.save` uses them. It
 * builds plain data and nothing else: names are looked up in `rules.globals`, no name of the file reaches a JavaScript
 * object, and nothing is walked recursively, so that data that contains itself a million times costs no more than its
 * bytes.
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED` (a class that is not on the allow-list), `LIMIT_EXCEEDED`.
 */
export function readPickle(
  bytes: Uint8Array,
  start: number,
  rules: PickleRules,
  name: string,
): { value: PickleValue; end: number } | undefined {
  const machine: PickleMachine = new PickleMachine(bytes, start, rules, name);
  try {
    while (!machine.isStopped) {
      const opcode = machine.nextOpcode();
      const execute = PICKLE_OPCODES.get(opcode);
      if (execute === undefined) {
        const code = opcode.toString(16).padStart(2, "0");
        machine.fail("FORMAT_INVALID", `opcode 0x${code} is not one that torch.save writes. The file is corrupt.`);
      }
      execute(machine);
    }
    return { value: machine.pop(), end: machine.position };
  } catch (error) {
    if (error === PICKLE_ENDED) return undefined;
    throw error;
  }
}
