// Child of streaming.mjs: the streams of one side.
//   node streaming-child.mjs ours '{"model", "precision", "numStreams", "head"}'
//   node streaming-child.mjs sherpa '{"folder", "numStreams", "head", "stepSamples"}'
import { answerMessages } from "./children.mjs";
import { clockMs } from "./clock.mjs";
import { createTicker, quantile, runPaced } from "./streaming-load.mjs";

const [side, json] = process.argv.slice(2);
const options = JSON.parse(json);
const rss = () => process.memoryUsage.rss();

let engine;
let driver;
let tick;

/** Streams of one latency mode take the place of those before. */
async function open({ attContext }) {
  driver?.close();
  const before = rss();
  if (side === "ours") {
    const { openOurStreams } = await import("./streaming-engine.mjs");
    driver = await openOurStreams(engine, { ...options, attContext });
  } else {
    const { openSherpaStreams } = await import("./sherpa-streams.mjs");
    driver = await openSherpaStreams(options.folder, { ...options, attContext });
  }
  tick = await createTicker(driver);
  return { chunkSec: driver.chunkSec, cacheBytes: driver.cacheBytes, rssBytes: rss() - before };
}

/** The products of one batch, in turn with ticks of which it is a batch. */
async function floor({ attContext, numStreams, passes }) {
  const { floorSpec, openFloor, operationsOf, productsOf } = await import("./streaming-floor.mjs");
  driver.reports.length = 0;
  await tick(numStreams);
  const rows = driver.reports[0].numRows;
  const products = productsOf(await floorSpec(options.model), attContext, rows, options.head, options.precision);
  const opened = await openFloor(products, options.precision === "int8");
  const floorMs = [];
  await opened.run();
  driver.reports.length = 0;
  for (let i = 0; i < passes; i++) {
    await tick(numStreams);
    const start = clockMs();
    await opened.run();
    floorMs.push(clockMs() - start);
  }
  await opened.close();
  // The last batch of a tick may be a smaller one.
  const batches = driver.reports.filter(({ numRows }) => numRows === rows);
  const encodeMs = quantile(batches.map(({ encodeSec }) => 1000 * encodeSec));
  const decodeMs = quantile(batches.map(({ decodeSec }) => 1000 * decodeSec));
  return { rows, floorMs: quantile(floorMs), encodeMs, decodeMs, operations: operationsOf(products) };
}

/** Ticks until a time or an amount of sound is reached, whichever comes first, with the resident memory beside. */
async function day({ numStreams, maxSeconds, hours }) {
  const start = performance.now();
  const samples = [];
  let heardSec = 0;
  while (performance.now() - start < 1000 * maxSeconds && heardSec < 3600 * hours) {
    for (let i = 0; i < 20; i++) await tick(numStreams);
    if (driver.reports) driver.reports.length = 0;
    heardSec += 20 * numStreams * driver.chunkSec;
    samples.push({ hours: heardSec / 3600, rssBytes: rss() });
  }
  return { seconds: (performance.now() - start) / 1000, samples };
}

if (side === "ours") {
  const { openBenchStreams } = await import("./streaming-engine.mjs");
  engine = await openBenchStreams(options.model, { precision: options.precision, maxStreams: options.numStreams });
}

answerMessages({
  open,
  floor,
  day,
  async tick({ numStreams, numChunks }) {
    if (driver.reports) driver.reports.length = 0;
    return { ms: await tick(numStreams, numChunks) };
  },
  async paced({ numStreams, seconds }) {
    const latencies = await runPaced(driver, numStreams, seconds);
    const ms = (share) => quantile(latencies, share);
    return { count: latencies.length, p50: ms(0.5), p95: ms(0.95), p99: ms(0.99) };
  },
  async stop() {
    driver?.close();
    await engine?.close();
  },
});
