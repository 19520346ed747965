export * from "./items.ts";
export { BIN_LIMITS, type BinDecoder, type BinDecoderOptions, type BinLimits, createBinDecoder } from "./spl/decode.ts";
export { encodeItem, encodeTuple } from "./spl/encode.ts";
export * from "./spl/schemas.ts";
export * from "./spl/types.ts";
