/** PyYAML's `SafeLoader` (YAML 1.1) with OmegaConf's float pattern added and dates taken out (`omegaconf/_utils.py`). */
const BOOLEAN = /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/;
const NULL = /^(?:~|null|Null|NULL|)$/;
const FLOATS = [
  /^[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?$/,
  /^\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?$/,
  /^[-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?$/,
  /^[-+]?[0-9]+(?:_[0-9]+)*[eE][-+]?[0-9]+$/,
];
const SEXAGESIMAL_FLOAT = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*$/;
const SEXAGESIMAL_INTEGER = /^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$/;
const BINARY = /^[-+]?0b[0-1_]+$/;
const OCTAL = /^[-+]?0[0-7_]+$/;
const DECIMAL = /^[-+]?(?:0|[1-9][0-9_]*)$/;
const HEXADECIMAL = /^[-+]?0x[0-9a-fA-F_]+$/;
const INFINITE = /^[-+]?\.(?:inf|Inf|INF)$/;
const NOT_A_NUMBER = /^\.(?:nan|NaN|NAN)$/;
/** Beyond this many characters a scalar is text: no number of a configuration is longer, and regular expressions backtrack. */
const MAX_NUMBER_CHARS = 100;

/**
 * What an unquoted scalar means: null, a boolean, a number or else the text itself. Integers beyond 2^53 are rounded.
 */
export function resolvePlainScalar(text: string): null | boolean | number | string {
  if (NULL.test(text)) return null;
  if (BOOLEAN.test(text)) return /^(?:yes|true|on)$/i.test(text);
  if (text.length > MAX_NUMBER_CHARS || !/^[-+0-9.]/.test(text)) return text;
  const number = parseNumber(text);
  return number === undefined ? text : number;
}

function parseNumber(text: string): number | undefined {
  if (NOT_A_NUMBER.test(text)) return Number.NaN;
  const sign = text.startsWith("-") ? -1 : 1;
  if (INFINITE.test(text)) return sign * Number.POSITIVE_INFINITY;
  const digits = text.replaceAll("_", "").replace(/^[-+]/, "");
  const magnitude = parseMagnitude(text, digits);
  // "0b_" and the like match PyYAML's patterns and then fail in its constructor; here they stay text.
  return magnitude === undefined || Number.isNaN(magnitude) ? undefined : sign * magnitude;
}

function parseMagnitude(text: string, digits: string): number | undefined {
  if (SEXAGESIMAL_FLOAT.test(text) || SEXAGESIMAL_INTEGER.test(text)) {
    return digits.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  }
  if (FLOATS.some((pattern) => pattern.test(text)) || DECIMAL.test(text)) return Number(digits);
  if (BINARY.test(text) || HEXADECIMAL.test(text)) return Number(digits.length > 2 ? digits : Number.NaN);
  if (OCTAL.test(text)) return Number.parseInt(digits, 8);
  return undefined;
}
