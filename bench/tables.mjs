// The measured rows as the tables of docs/performance.md, ratios first.

/** All tables as lines of Markdown. */
export function tableOf(results) {
  const rows = rowsOf(results.measured);
  const { cpu, numCores, node, clock, isPinned } = results;
  const core = isPinned ? "one core that all sides share in turn" : "one thread each, in turn";
  return [
    `${cpu}, ${numCores} cores, Node ${node}; ${core}; ${clock}`,
    ...offlineTable(rows.offline ?? []),
    ...elsewhere(rows.offline, cpu),
    ...exportTable(rows.export?.[0]),
    ...elsewhere(rows.export, cpu),
    ...saturatedTable(rows.saturated ?? []),
    ...stepsTable(rows.saturated ?? []),
    ...elsewhere(rows.saturated, cpu),
    ...floorTable(rows.floor ?? []),
    ...elsewhere(rows.floor, cpu),
    ...pacedTable(rows.paced ?? []),
    ...elsewhere(rows.paced, cpu),
    ...memoryTable(rows.saturated ?? [], rows.day ?? []),
    ...elsewhere(rows.day, cpu),
    ...Object.entries(results.notMeasured).flatMap(([label, reason]) => ["", `Not measured: ${label}: ${reason}`]),
  ];
}

/** Every list that measurements add to, joined. */
function rowsOf(measured) {
  const rows = {};
  for (const { cpu, passes, ...lists } of Object.values(measured)) {
    for (const [name, list] of Object.entries(lists)) {
      rows[name] = [...(rows[name] ?? []), ...[list].flat().map((row) => ({ ...row, cpu, passes }))];
    }
  }
  return rows;
}

/** Which rows of an earlier run were measured on other machines than that of the rest. */
function elsewhere(rows = [], cpu) {
  const others = [...new Set(rows.map((row) => row.cpu))].filter((other) => other !== cpu);
  return others.flatMap((other) => {
    const count = rows.filter((row) => row.cpu === other).length;
    return [
      "",
      `${count === rows.length ? "All" : `${count} of ${rows.length}`} of these rows: on another machine, ${other}.`,
    ];
  });
}

/** A Markdown table, nothing where there are no rows. */
function table(title, head, rows) {
  if (rows.length === 0) return [];
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return ["", ...title, line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)];
}

const times = (value) => `${value.toFixed(2)} ×`;
const ms = (value) => (value < 100 ? value.toFixed(1) : value.toFixed(0));
const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const modeOf = ({ attContext, chunkSec }) => `${Math.round(1000 * (chunkSec ?? 0.08 * (attContext[1] + 1)))} ms`;

function offlineTable(rows) {
  if (rows.length === 0) return [];
  const title = [
    `Whole recordings, ${rows[0].audioSec.toFixed(0)} s of sound, median of ${rows[0].passes} passes:`,
    "",
  ];
  const head = ["offline", "weights", "sherpa-onnx runs", "ratio", "ours, × real time", "sherpa-onnx, × real time"];
  const line = (r) => [
    r.model,
    r.precision,
    r.peerGraph,
    `${r.ratio.toFixed(2)} (least ${r.minRatio.toFixed(2)})`,
    r.oursRtfx.toFixed(0),
    r.peerRtfx.toFixed(0),
  ];
  return table(title, head, rows.map(line));
}

function exportTable(e) {
  if (!e) return [];
  const own = `${((e.peakBytes - e.nodeBytes) / 1e6).toFixed(0)} MB above Node's own ${(e.nodeBytes / 1e6).toFixed(0)} MB`;
  return table(
    [],
    [
      "export of the 114 M hybrid, command line",
      "ours",
      "NeMo 3.0.0 (a run of its own, on another machine of 2 cores)",
      "ratio",
    ],
    [
      ["wall time", `${e.wallSec.toFixed(2)} s`, `${e.nemo.wallSec} s`, `${e.ratio.toFixed(0)} ×`],
      [
        "peak resident memory",
        `${(e.peakBytes / 1e6).toFixed(0)} MB (${own}; weights ${(e.weightsBytes / 1e6).toFixed(0)} MB)`,
        `${(e.nemo.peakBytes / 1e6).toFixed(0)} MB`,
        `${(e.nemo.peakBytes / e.peakBytes).toFixed(0)} ×`,
      ],
    ],
  );
}

function saturatedTable(rows) {
  const title = [
    "Streams that one core carries in real time (chunks of all streams at once, 1 to 64 streams, caches full), and the time of one stream's step alone, ours to sherpa-onnx's. Where more chunks of each stream wait than one, as they do in a loaded engine, results come up to so many chunks later:",
    "",
  ];
  const head = [
    "streams",
    "weights",
    "mode",
    "chunks that wait",
    "sherpa-onnx runs",
    "ratio",
    "ours",
    "sherpa-onnx",
    "one stream's step",
  ];
  const line = (r) => [
    r.model,
    r.precision,
    modeOf(r),
    String(r.numChunks ?? 1),
    r.peer,
    times(r.ratio),
    r.oursStreams.toFixed(1),
    r.peerStreams.toFixed(1),
    (r.numChunks ?? 1) > 1 ? "" : `${times(r.stepRatio)} (${ms(r.ours[0].ms)} / ${ms(r.sherpa[0].ms)} ms)`,
  ];
  return table(title, head, rows.map(line));
}

/** Milliseconds for one chunk of every stream, by the number of streams. */
function stepsTable(rows) {
  const counts = [1, 2, 4, 8, 16, 32, 64];
  const title = [
    "Milliseconds for a chunk of every stream, by the number of streams, until one core is too little:",
    "",
  ];
  const head = ["lockstep", "weights", "mode", "side", ...counts.map(String)];
  const cells = (points) =>
    counts.map((n) => points.find(({ numStreams }) => numStreams === n)?.ms).map((v) => (v ? ms(v) : ""));
  const known = new Set();
  const lines = rows
    .filter((r) => (r.numChunks ?? 1) === 1)
    .flatMap((r) => {
      const own = `${r.model} ${r.precision} ${r.attContext}`;
      const first = [r.model, r.precision, modeOf(r)];
      const lines = known.has(own) ? [] : [[...first, "ours", ...cells(r.ours)]];
      known.add(own);
      return [...lines, [...first, `sherpa-onnx, ${r.peer}`, ...cells(r.sherpa)]];
    });
  return table(title, head, lines);
}

function floorTable(rows) {
  const title = [
    "The floor: the same matrix products alone (weights, attention, 1 × 1 convolutions; in 8 bits where ours are), one batch:",
    "",
  ];
  const head = ["floor", "weights", "mode", "streams a batch", "ratio", "encoder", "products alone", "GOP/s of these"];
  const line = (r) => [
    r.model,
    r.precision,
    modeOf(r),
    String(r.rows),
    times(r.ratio),
    `${ms(r.encodeMs)} ms`,
    `${ms(r.floorMs)} ms`,
    (r.operations / r.floorMs / 1e6).toFixed(0),
  ];
  return table(title, head, rows.map(line));
}

function pacedTable(rows) {
  const title = [
    "In real time (packets of 80 ms, streams out of step): milliseconds from the arrival of a chunk's last packet to its result, as far as a side keeps up (of fewer than 100 results p99 is the longest):",
    "",
  ];
  const head = [
    "real time",
    "weights",
    "mode",
    "side",
    "streams",
    "results",
    "p99 to one stream's p99",
    "to its median",
    "p50",
    "p95",
    "p99",
  ];
  const line = (r) => {
    const isSame = (o) =>
      o.model === r.model && o.precision === r.precision && String(o.attContext) === String(r.attContext);
    const one = rows.find((o) => isSame(o) && o.side === r.side && o.numStreams === 1);
    const side = r.side === "ours" ? "ours" : `sherpa-onnx, ${r.side}`;
    const latencies = [r.p50, r.p95, r.p99].map(ms);
    return [
      r.model,
      r.precision,
      modeOf(r),
      side,
      String(r.numStreams),
      String(r.count),
      times(r.p99 / one.p99),
      times(r.p99 / one.p50),
      ...latencies,
    ];
  };
  return table(title, head, rows.map(line));
}

function memoryTable(saturated, day) {
  const seen = new Map();
  for (const r of saturated) if (!seen.has(`${r.model} ${r.precision}`)) seen.set(`${r.model} ${r.precision}`, r);
  const head = ["memory of a stream", "weights", "its caches", "measured over 63 streams"];
  const rows = [...seen.values()].map((r) => [r.model, r.precision, mb(r.oursCacheBytes), mb(r.oursStreamBytes)]);
  const days = day.map((d) => [
    `${d.model}, ${d.precision}, ${modeOf(d)}, ${d.numStreams} streams`,
    `${d.hours.toFixed(1)} h in ${d.seconds.toFixed(0)} s`,
    mb(d.earlyBytes),
    mb(d.lateBytes),
    mb(d.maxBytes),
  ]);
  const dayTitle = [
    "Resident memory while as much sound as fits is streamed as fast as it goes (a day where it fits):",
    "",
  ];
  const dayHead = ["a day of sound", "heard", "after a tenth", "in the end", "most"];
  return [...table([], head, rows), ...table(dayTitle, dayHead, days)];
}
