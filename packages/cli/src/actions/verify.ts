import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  type AcousticModel,
  type Check,
  isSpeechError,
  type ModelPackage,
  openAcousticModel,
  openSafetensors,
  openStreamSet,
  type Reference,
  referenceContexts,
  referenceRecordings,
  SpeechError,
  type Tensor,
  verifyModel,
  verifyStreams,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openFileSource, openModel } from "@nemo-stt/node";
import type { VerifyFlags } from "../commands/verify.ts";
import type { Console } from "../console.ts";
import { Failed } from "../failures.ts";
import { errorText } from "../messages.ts";
import { now } from "./clock.ts";
import { notFound, readWaveform } from "./recordings.ts";

/** A model and what was computed from it. */
interface Fixture {
  readonly model: string;
  readonly reference: string;
}

/** Compares models with references, stage by stage. */
export async function verify(
  model: string,
  reference: string | undefined,
  flags: VerifyFlags,
  console: Console,
): Promise<void> {
  const fixtures = flags.all ? await fixturesIn(model) : [await fixtureOf(model, reference)];
  let numFailed = 0;
  for (const fixture of fixtures) {
    try {
      numFailed += await verifyFixture(fixture, flags, console);
    } catch (error) {
      // One of many must not keep the others from being compared.
      if (!flags.all || !isSpeechError(error)) throw error;
      console.err(`${basename(fixture.reference)}: ${errorText(error)}`);
      numFailed++;
    }
  }
  if (numFailed > 0) throw new Failed(`${numFailed} comparisons do not hold.`);
  console.err(`${fixtures.length === 1 ? "1 fixture" : `${fixtures.length} fixtures`}, all comparisons hold.`);
}

/** One fixture: a model, with its reference unless that lies beside or in it, or the folder of both. */
async function fixtureOf(model: string, reference: string | undefined): Promise<Fixture> {
  if (reference !== undefined) return { model, reference };
  if (!existsSync(join(model, "reference.json"))) return { model, reference: dirname(model) };
  // An exported folder is the model to be compared, whatever its reference was made from.
  const names = await readdir(model);
  const isExport = names.some((name) => name === "manifest.json" || name.endsWith(".onnx"));
  return { model: (isExport ? undefined : await modelOf(model)) ?? model, reference: model };
}

async function fixturesIn(folder: string): Promise<Fixture[]> {
  const found: Fixture[] = [];
  const names = await readdir(folder).catch((cause: unknown) => {
    throw notFound(folder, "a folder of fixtures", cause);
  });
  for (const name of names.sort()) {
    const reference = join(folder, name);
    if (!existsSync(join(reference, "reference.json"))) continue;
    const model = await modelOf(reference);
    if (model) found.push({ model, reference });
  }
  if (found.length > 0) return found;
  throw new SpeechError(
    "NOT_FOUND",
    `${folder}: expected folders with model.nemo and reference.json, got none. Name a folder of fixtures.`,
  );
}

/** The fixture's own checkpoint, or the one that its reference names. */
async function modelOf(reference: string): Promise<string | undefined> {
  const own = join(reference, "model.nemo");
  if (existsSync(own)) return own;
  const { model, about } = await readFacts(join(reference, "reference.json"));
  const named = model ?? (about as { model?: unknown } | undefined)?.model;
  const path = typeof named === "string" ? resolve(reference, named) : undefined;
  if (path && existsSync(path)) return path;
  // The bundled voice activity detector is a fixture without a copy of its checkpoint.
  return basename(reference) === "vad-frame-tiny" ? BUNDLED_MODELS.vad : undefined;
}

async function verifyFixture(fixture: Fixture, flags: VerifyFlags, console: Console): Promise<number> {
  const model = await openModel(fixture.model);
  const warn = (text: string) => console.err(text);
  const reference = await readReference(fixture.reference, flags.clips, model.spec.sampleRateHz, warn);
  const acoustic = await openAcousticModel(model, nodeRuntime());
  const checks: Check[] = [];
  try {
    for await (const check of checksOf(model, acoustic, reference, warn)) {
      checks.push(check);
      if (flags.json) console.out(JSON.stringify({ fixture: basename(fixture.reference), ...check }));
    }
  } finally {
    await acoustic.close();
  }
  if (checks.length === 0) {
    throw new SpeechError(
      "VERIFY_FAILED",
      `${fixture.reference}: expected something to compare with, got no tensor or text of a known name. Make the reference again.`,
    );
  }
  if (!flags.json) console.out(report(basename(fixture.reference), checks));
  return checks.filter((check) => !check.isOk).length;
}

/** Every stage, and every step of the streams that the reference has. */
async function* checksOf(
  model: ModelPackage,
  acoustic: AcousticModel,
  reference: Reference,
  warn: (text: string) => void,
): AsyncGenerator<Check> {
  yield* verifyModel(model, acoustic, reference);
  const { streamed, left, why } = referenceContexts(model, reference);
  if (left.length > 0) warn(`${model.name}: Its streams in ${left.join(" ")} are not compared: ${why}.`);
  if (streamed.length === 0) return;
  const opened = await openStreamSet(model, nodeRuntime(), { now });
  try {
    yield* verifyStreams(model, acoustic, opened, reference);
  } finally {
    await opened.release();
  }
}

async function readReference(
  folder: string,
  clips: string | undefined,
  rateHz: number,
  warn: (text: string) => void,
): Promise<Reference> {
  const facts = await readFacts(join(folder, "reference.json"));
  const source = await openFileSource(join(folder, "reference.safetensors"));
  const tensors = new Map<string, Tensor>();
  try {
    const file = await openSafetensors(source);
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  } finally {
    await source.close();
  }
  const { folder: named, files } = referenceRecordings(facts, tensors.keys());
  const where = recordingsFolder(folder, named) ?? clips ?? join(dirname(folder), "clips");
  const recordings = new Map<string, Float32Array>();
  for (const { name, file } of files) recordings.set(name, await readWaveform(join(where, file), rateHz, warn));
  return { tensors, facts, recordings };
}

/** The folder that a reference names, beside the fixture or beside the folder of fixtures. */
function recordingsFolder(reference: string, named: string | undefined): string | undefined {
  if (named === undefined) return undefined;
  const parent = dirname(reference);
  return [join(parent, named), join(dirname(parent), named)].find((path) => existsSync(path));
}

async function readFacts(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw notFound(path, "a reference", cause);
  });
  try {
    const facts: unknown = JSON.parse(withoutNaN(text));
    if (typeof facts === "object" && facts !== null) return facts as Record<string, unknown>;
  } catch {
    // Told below, together with JSON that is no object.
  }
  throw new SpeechError("FORMAT_INVALID", `${path}: expected a JSON object, got other text. Make the reference again.`);
}

/** Python writes `NaN` into what it calls JSON. */
const withoutNaN = (text: string): string => text.replaceAll(/(?<=[[:,]\s*)-?(?:NaN|Infinity)(?=\s*[\],}])/g, "null");

/** One line a stage: the worst difference over all clips, its tolerance, and how many times smaller it is. */
function report(name: string, checks: readonly Check[]): string {
  const stages = new Map<string, Check[]>();
  for (const check of checks) stages.set(check.stage, [...(stages.get(check.stage) ?? []), check]);
  return [name, ...[...stages].flatMap(([stage, of]) => stageLines(stage, of))].join("\n");
}

function stageLines(stage: string, checks: readonly Check[]): string[] {
  const failed = checks.filter((check) => !check.isOk);
  const ties = checks.filter((check) => check.nearTie !== undefined);
  const head = `  ${failed.length === 0 ? "ok  " : "FAIL"}  ${stage.padEnd(22)}${String(checks.length).padStart(3)} ×`;
  const places = checks
    .filter((check) => !check.isOk || check.nearTie !== undefined)
    .map((check) => `        ${check.where}: ${tieText(check)}${check.detail ?? check.difference?.toExponential(1)}`);
  const tied = ties.length > 0 ? `, ${ties.length === 1 ? "1 near-tie" : `${ties.length} near-ties`}` : "";
  const { tolerance } = checks[0];
  if (tolerance === undefined) {
    return [`${head}  ${failed.length === 0 ? "identical" : "different"}${tied}`, ...places];
  }
  const worst = Math.max(...checks.map((check) => check.difference ?? 0));
  const margin = worst > 0 ? `${(tolerance / worst).toFixed(worst > tolerance ? 3 : 0)} ×` : "exact";
  const numbers = `${worst.toExponential(1)}  tolerance ${tolerance.toExponential(0)}  margin ${margin}`;
  return [`${head}  ${numbers}${tied}`, ...places];
}

const tieText = ({ nearTie }: Check): string =>
  nearTie === undefined ? "" : `near-tie, our choice led by ${nearTie.toExponential(1)}: `;
