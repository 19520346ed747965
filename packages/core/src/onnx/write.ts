import { SpeechError } from "../errors.ts";
import {
  type ProtoWriter,
  protoWriter,
  writeFloat,
  writeInt,
  writeLength,
  writeMessage,
  writePackedInts,
  writeRaw,
  writeString,
  writtenBytes,
} from "../protobuf/writer.ts";
import type { TensorType } from "../tensor.ts";
import type { Attribute, Branch, Graph, GraphNode, Initializer, Port } from "./graph.ts";

/** Takes bytes in order: a file being written, or memory. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** Where a constant's bytes lie outside the model file. */
export interface Placement {
  /** Relative to the model file. */
  readonly location: string;
  readonly offsetBytes: number;
}

/** Constants this small stay in the model file: shapes and scalars must be known when the graph is loaded. */
const INLINE_BYTES = 1024;

/** External constants start at multiples of this, so that they can be mapped and read with vector loads. */
const ALIGNMENT_BYTES = 64;

/** Opset 17 came with IR version 8. */
const IR_VERSION = 8;
const OPSET = 17;
const MICROSOFT_OPSET = 1;

/** Numbers of `onnx.TensorProto.DataType`. */
const DATA_TYPE: Record<TensorType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

/** Places for the large constants of some graphs, and what has to be written for them. */
export interface PlacedWeights {
  readonly placements: ReadonlyMap<string, Placement>;
  /** What has to be written, in this order, from `startBytes` on. */
  readonly initializers: readonly Initializer[];
  readonly startBytes: number;
  readonly sizeBytes: number;
}

/**
 * Gives every large constant of some graphs a place in one file; graphs that share a constant (by name) share its place.
 * @param checkpointBytes where the file begins with a copy of the checkpoint: its size. Constants that stand in it
 * unchanged have their place there already.
 */
export function placeWeights(graphs: readonly Graph[], location: string, checkpointBytes = 0): PlacedWeights {
  const placements = new Map<string, Placement>();
  const initializers: Initializer[] = [];
  let end = checkpointBytes;
  for (const graph of graphs) {
    for (const init of graph.initializers.values()) {
      if (init.sizeBytes < INLINE_BYTES || placements.has(init.name)) continue;
      if (checkpointBytes > 0 && init.checkpointOffsetBytes !== undefined) {
        placements.set(init.name, { location, offsetBytes: init.checkpointOffsetBytes });
        continue;
      }
      const offsetBytes = alignUp(end);
      placements.set(init.name, { location, offsetBytes });
      initializers.push(init);
      end = offsetBytes + init.sizeBytes;
    }
  }
  return { placements, initializers, startBytes: checkpointBytes, sizeBytes: end };
}

/** Bytes of large constants that stand unchanged in the checkpoint's own file. */
export function bytesInCheckpoint(graphs: readonly Graph[]): number {
  const known = new Map(graphs.flatMap((graph) => [...graph.initializers]));
  let sum = 0;
  for (const init of known.values()) if (init.checkpointOffsetBytes !== undefined) sum += init.sizeBytes;
  return sum;
}

/** Writes the constants of `placeWeights`, one at a time, with the padding between them. */
export async function writeWeights(placed: PlacedWeights, sink: ByteSink): Promise<void> {
  let position = placed.startBytes;
  let upcoming = readAhead(placed.initializers[0]);
  for (const [i, init] of placed.initializers.entries()) {
    const { offsetBytes } = placed.placements.get(init.name) as Placement;
    const content = await upcoming;
    // The next constant is read while this one is written: reading and writing wait for different things.
    upcoming = readAhead(placed.initializers[i + 1]);
    if (offsetBytes > position) await sink.write(new Uint8Array(offsetBytes - position));
    await sink.write(content);
    position = offsetBytes + init.sizeBytes;
  }
}

/** Begins to make a constant's bytes. A failure shows when they are awaited, not before. */
function readAhead(init: Initializer | undefined): Promise<Uint8Array> {
  const pending = init ? contentOf(init) : Promise.resolve(new Uint8Array(0));
  pending.catch(() => {});
  return pending;
}

/** Writes a graph as an ONNX `ModelProto`. Constants without a placement go into it. */
export async function writeModel(
  graph: Graph,
  sink: ByteSink,
  placements?: ReadonlyMap<string, Placement>,
): Promise<void> {
  const headers: { init: Initializer; header: Uint8Array; isInline: boolean }[] = [];
  let graphSize = 0;
  for (const init of graph.initializers.values()) {
    const placement = placements?.get(init.name);
    const header = initializerHeader(init, placement);
    headers.push({ init, header, isInline: placement === undefined });
    graphSize += header.byteLength + (placement === undefined ? init.sizeBytes : 0);
  }
  const body = graphBody(graph);
  graphSize += body.byteLength;
  const start = protoWriter();
  writeInt(start, 1, IR_VERSION);
  writeString(start, 2, "nemo-stt");
  writeLength(start, 7, graphSize);
  await sink.write(writtenBytes(start));
  await sink.write(body);
  for (const { init, header, isInline } of headers) {
    await sink.write(header);
    if (isInline) await sink.write(await contentOf(init));
  }
  const end = protoWriter();
  for (const domain of domainsOf(graph)) {
    writeMessage(end, 8, () => {
      writeString(end, 1, domain);
      writeInt(end, 2, domain === "" ? OPSET : MICROSOFT_OPSET);
    });
  }
  for (const [key, value] of Object.entries(graph.metadata)) {
    writeMessage(end, 14, () => {
      writeString(end, 1, key);
      writeString(end, 2, value);
    });
  }
  await sink.write(writtenBytes(end));
}

/** The whole model as bytes, constants included. */
export async function modelBytes(graph: Graph): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  await writeModel(graph, {
    async write(bytes) {
      parts.push(bytes);
      size += bytes.byteLength;
    },
  });
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** The constant's bytes, checked against its declared size. */
async function contentOf(init: Initializer): Promise<Uint8Array> {
  const bytes = await init.bytes();
  if (bytes.byteLength !== init.sizeBytes) {
    throw new SpeechError(
      "MODEL_INVALID",
      `constant \`${init.name}\`: expected ${init.sizeBytes} bytes for shape [${init.dims.join(", ")}], got ${bytes.byteLength}. The configuration does not fit the weights.`,
    );
  }
  return bytes;
}

const alignUp = (offset: number): number => Math.ceil(offset / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

function domainsOf(graph: Graph): string[] {
  return ["", ...new Set(graph.nodes.map((node) => node.domain).filter((domain) => domain !== ""))];
}

/** `GraphProto` without initializers. */
function graphBody(graph: Graph): Uint8Array {
  const w = protoWriter(1 << 16);
  for (const node of graph.nodes) writeMessage(w, 1, () => writeNode(w, node));
  writeString(w, 2, graph.name);
  for (const port of graph.inputs) writeMessage(w, 11, () => writePort(w, port));
  for (const port of graph.outputs) writeMessage(w, 12, () => writePort(w, port));
  return writtenBytes(w);
}

function writeNode(w: ProtoWriter, node: GraphNode): void {
  for (const input of node.inputs) writeString(w, 1, input);
  for (const output of node.outputs) writeString(w, 2, output);
  writeString(w, 3, node.name);
  writeString(w, 4, node.opType);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    writeMessage(w, 5, () => writeAttribute(w, name, attribute));
  }
  if (node.domain !== "") writeString(w, 7, node.domain);
}

function writeAttribute(w: ProtoWriter, name: string, attribute: Attribute): void {
  writeString(w, 1, name);
  switch (attribute.kind) {
    case "float":
      writeFloat(w, 2, attribute.value);
      writeInt(w, 20, 1);
      return;
    case "int":
      writeInt(w, 3, attribute.value);
      writeInt(w, 20, 2);
      return;
    case "string":
      writeString(w, 4, attribute.value);
      writeInt(w, 20, 3);
      return;
    case "ints":
      writePackedInts(w, 8, attribute.value);
      writeInt(w, 20, 7);
      return;
    case "graph":
      writeMessage(w, 6, () => writeBranch(w, attribute.value));
      writeInt(w, 20, 5);
      return;
  }
}

/** `GraphProto` of a branch. Its output has a type and no shape: the shapes of branches may differ. */
function writeBranch(w: ProtoWriter, branch: Branch): void {
  for (const node of branch.nodes) writeMessage(w, 1, () => writeNode(w, node));
  writeString(w, 2, branch.name);
  writeMessage(w, 12, () => {
    writeString(w, 1, branch.output);
    writeMessage(w, 2, () => writeMessage(w, 1, () => writeInt(w, 1, DATA_TYPE[branch.outputType])));
  });
}

/** `ValueInfoProto` of an input or output. */
function writePort(w: ProtoWriter, port: Port): void {
  writeString(w, 1, port.name);
  writeMessage(w, 2, () =>
    writeMessage(w, 1, () => {
      writeInt(w, 1, DATA_TYPE[port.type]);
      writeMessage(w, 2, () => {
        for (const dim of port.dims) {
          writeMessage(w, 1, () => (typeof dim === "number" ? writeInt(w, 1, dim) : writeString(w, 2, dim)));
        }
      });
    }),
  );
}

/** Tag, length and all fields of a `TensorProto` but the raw data itself, which follows when it is inline. */
function initializerHeader(init: Initializer, placement: Placement | undefined): Uint8Array {
  const fields = protoWriter();
  writePackedInts(fields, 1, init.dims);
  writeInt(fields, 2, DATA_TYPE[init.type]);
  writeString(fields, 8, init.name);
  if (placement === undefined) {
    writeLength(fields, 9, init.sizeBytes);
  } else {
    const entries = { location: placement.location, offset: placement.offsetBytes, length: init.sizeBytes };
    for (const [key, value] of Object.entries(entries)) {
      writeMessage(fields, 13, () => {
        writeString(fields, 1, key);
        writeString(fields, 2, String(value));
      });
    }
    writeInt(fields, 14, 1);
  }
  const header = protoWriter();
  writeLength(header, 5, fields.length + (placement === undefined ? init.sizeBytes : 0));
  writeRaw(header, writtenBytes(fields));
  return writtenBytes(header);
}
