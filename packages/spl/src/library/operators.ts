// Operators of the standard toolkit that our sources use, as far as they can be checked without running them.

/** How a parameter may be written: a value of a type, one of some words, or an attribute. */
export interface OperatorParameter {
  readonly type?: string;
  readonly words?: readonly string[];
  /** It may look at the input's attributes. */
  readonly sees?: boolean;
  readonly isConstant?: boolean;
  readonly isAttribute?: boolean;
  readonly isRequired?: boolean;
}

/** An operator. */
export interface OperatorModel {
  readonly inputs: readonly [number, number];
  readonly outputs: readonly [number, number];
  readonly parameters: Readonly<Record<string, OperatorParameter>>;
  /** Attributes that nobody assigns are taken from the input (`forward`), must be assigned (`assign`), or come from outside. */
  readonly attributes: "forward" | "assign" | "outside" | "same";
  /** Whether `output` clauses are allowed. */
  readonly hasOutputClause: boolean;
  /** Functions that only its output clause knows. */
  readonly functions?: string;
}

const MANY = Number.POSITIVE_INFINITY;
const rstring = { type: "rstring" };
const constantFlag = { type: "boolean", isConstant: true };
const format = { words: ["csv", "txt", "bin", "block", "line"] };
const compression = { words: ["zlib", "gzip", "bzip2"] };
const tcp = {
  role: { words: ["server", "client"], isRequired: true },
  address: rstring,
  port: { type: "uint32" },
  name: rstring,
  format,
  compression,
  eolMarker: { ...rstring, isConstant: true },
  encoding: rstring,
  hasDelayField: constantFlag,
  reconnectionPolicy: { words: ["InfiniteRetry", "NoRetry", "BoundedRetry"] },
  reconnectionBound: { type: "uint32" },
  interface: rstring,
  confirmWireFormat: constantFlag,
  sslProtocol: rstring,
  sslCertificateFile: rstring,
  sslCertificateAuthorityFile: rstring,
  password: rstring,
};

/** The models by name; all of them are visible without `use`. */
export const OPERATORS: Readonly<Record<string, OperatorModel>> = {
  Beacon: {
    inputs: [0, 0],
    outputs: [1, 1],
    attributes: "assign",
    hasOutputClause: true,
    functions: "uint64 IterationCount()",
    parameters: {
      period: { type: "float64" },
      iterations: { type: "integer" },
      initDelay: { type: "float64" },
      triggerCount: { type: "uint32" },
    },
  },
  Custom: { inputs: [0, MANY], outputs: [0, MANY], attributes: "outside", hasOutputClause: false, parameters: {} },
  Functor: {
    inputs: [1, 1],
    outputs: [1, MANY],
    attributes: "forward",
    hasOutputClause: true,
    parameters: { filter: { type: "boolean", sees: true } },
  },
  Filter: {
    inputs: [1, 1],
    outputs: [1, 2],
    attributes: "same",
    hasOutputClause: false,
    parameters: { filter: { type: "boolean", sees: true } },
  },
  Punctor: {
    inputs: [1, 1],
    outputs: [1, 1],
    attributes: "forward",
    hasOutputClause: true,
    parameters: {
      punctuate: { type: "boolean", sees: true, isRequired: true },
      position: { words: ["before", "after"], isRequired: true },
    },
  },
  Throttle: {
    inputs: [1, 1],
    outputs: [1, 1],
    attributes: "same",
    hasOutputClause: false,
    parameters: {
      rate: { type: "float64", isRequired: true },
      period: { type: "float64" },
      includePunctuations: constantFlag,
      precise: constantFlag,
    },
  },
  Union: { inputs: [2, MANY], outputs: [1, 1], attributes: "same", hasOutputClause: false, parameters: {} },
  FileSource: {
    inputs: [0, 1],
    outputs: [1, 2],
    attributes: "outside",
    hasOutputClause: true,
    functions: "rstring FileName()\nint64 TupleNumber()",
    parameters: {
      file: rstring,
      format,
      compression,
      blockSize: { type: "uint32" },
      initDelay: { type: "float64" },
      hotFile: constantFlag,
      deleteFile: constantFlag,
      moveFileToDirectory: rstring,
      parsing: { words: ["strict", "permissive", "fast"] },
      hasDelayField: constantFlag,
      eolMarker: { ...rstring, isConstant: true },
      encoding: rstring,
      ignoreOpenErrors: { type: "boolean" },
      readPunctuations: constantFlag,
    },
  },
  FileSink: {
    inputs: [1, 1],
    outputs: [0, 1],
    attributes: "outside",
    hasOutputClause: false,
    parameters: {
      file: { ...rstring, sees: true, isRequired: true },
      format,
      compression,
      flush: { type: "uint32" },
      flushOnPunctuation: constantFlag,
      eolMarker: { ...rstring, isConstant: true },
      writePunctuations: constantFlag,
      quoteStrings: constantFlag,
      closeMode: { words: ["punct", "count", "size", "time", "dynamic", "never"] },
      append: { type: "boolean" },
      suppress: { isAttribute: true },
      encoding: rstring,
      moveFileToDirectory: rstring,
    },
  },
  DirectoryScan: {
    inputs: [0, 0],
    outputs: [1, 1],
    attributes: "assign",
    hasOutputClause: true,
    functions:
      "rstring FilePath()\nrstring FullPath()\nrstring FileName()\nrstring Directory()\nuint64 Size()\nuint64 Mtime()",
    parameters: {
      directory: { ...rstring, isRequired: true },
      pattern: rstring,
      sleepTime: { type: "float64" },
      initDelay: { type: "float64" },
      sortBy: { words: ["date", "name"] },
      order: { words: ["ascending", "descending"] },
      moveToDirectory: rstring,
      ignoreDotFiles: { type: "boolean" },
      ignoreExistingFilesAtStartup: { type: "boolean" },
    },
  },
  TCPSource: {
    inputs: [0, 0],
    outputs: [1, 1],
    attributes: "outside",
    hasOutputClause: true,
    functions: "rstring RemoteIP()\nuint32 RemotePort()\nuint32 LocalPort()\nuint32 ServerPort()\nint64 TupleNumber()",
    parameters: {
      ...tcp,
      parsing: { words: ["strict", "permissive", "fast"] },
      blockSize: { type: "uint32" },
      receiveBufferSize: { type: "uint32" },
      initDelay: { type: "float64" },
      readPunctuations: constantFlag,
    },
  },
  TCPSink: {
    inputs: [1, 1],
    outputs: [0, 0],
    attributes: "outside",
    hasOutputClause: false,
    parameters: {
      ...tcp,
      flush: { type: "uint32", isConstant: true },
      flushOnPunctuation: constantFlag,
      writePunctuations: constantFlag,
      retryFailedSends: constantFlag,
      sendBufferSize: { type: "uint32" },
      quoteStrings: constantFlag,
      closeMode: { words: ["dynamic", "never"] },
      suppress: { isAttribute: true },
      detectDisconnectsBeforeSends: constantFlag,
    },
  },
};

/** Annotations. */
export const ANNOTATIONS: readonly string[] = ["parallel", "spl_note", "view", "threading", "autonomous"];
