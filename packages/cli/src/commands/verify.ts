import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  type Check,
  openAcousticModel,
  openSafetensors,
  type Reference,
  SpeechError,
  type Tensor,
  verifyModel,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openFileSource, openModel } from "@nemo-stt/node";
import type { Command } from "commander";
import { readWaveform } from "../audio-files.ts";
import type { Console } from "../console.ts";
import { Failed } from "../failed.ts";

interface VerifyFlags {
  readonly clips?: string;
  readonly json?: boolean;
  readonly all?: boolean;
}

/** `nemo-stt verify X.nemo REFERENCE`. */
export function registerVerify(program: Command, console: Console): void {
  program
    .command("verify")
    .description("Compare every stage of a model with what NeMo computed (reference.json, reference.safetensors).")
    .argument("<model>", "a .nemo file or exported folder; with --all, a folder of fixtures")
    .argument("[reference]", "folder with reference.json and reference.safetensors")
    .option("--clips <folder>", "folder of the recordings that the reference names (default: clips beside the fixture)")
    .option("--all", "verify every fixture of a folder, each with its own model.nemo")
    .option("--json", "every comparison as a line of JSON")
    .action(async (model: string, reference: string | undefined, flags: VerifyFlags) => {
      const fixtures = flags.all ? await fixturesIn(model) : [{ model, reference: reference ?? dirname(model) }];
      let numFailed = 0;
      for (const fixture of fixtures) numFailed += await verifyFixture(fixture, flags, console);
      console.err(
        `${fixtures.length} fixtures, ${numFailed === 0 ? "all comparisons hold" : `${numFailed} comparisons do not hold`}.`,
      );
      if (numFailed > 0) throw new Failed(`${numFailed} comparisons do not hold.`);
    });
}

interface Fixture {
  readonly model: string;
  readonly reference: string;
}

async function fixturesIn(folder: string): Promise<Fixture[]> {
  const found: Fixture[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const reference = join(folder, name);
    if (!existsSync(join(reference, "reference.json"))) continue;
    const own = join(reference, "model.nemo");
    // The bundled voice activity detector is a fixture without a copy of its checkpoint.
    if (existsSync(own)) found.push({ model: own, reference });
    else if (name === "vad-frame-tiny") found.push({ model: BUNDLED_MODELS.vad, reference });
  }
  if (found.length === 0) {
    throw new SpeechError(
      "NOT_FOUND",
      `${folder}: expected folders with model.nemo and reference.json, got none. Name a folder of fixtures.`,
    );
  }
  return found;
}

async function verifyFixture(fixture: Fixture, flags: VerifyFlags, console: Console): Promise<number> {
  const model = await openModel(fixture.model);
  const reference = await readReference(fixture.reference, flags.clips, model.spec.sampleRateHz);
  const acoustic = await openAcousticModel(model, nodeRuntime());
  const checks: Check[] = [];
  try {
    for await (const check of verifyModel(model, acoustic, reference)) {
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

async function readReference(folder: string, clips: string | undefined, rateHz: number): Promise<Reference> {
  const facts = JSON.parse(await readFile(join(folder, "reference.json"), "utf8")) as Record<string, unknown>;
  const source = await openFileSource(join(folder, "reference.safetensors"));
  const tensors = new Map<string, Tensor>();
  try {
    const file = await openSafetensors(source);
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  } finally {
    await source.close();
  }
  const about = facts.about as { clips?: string[] } | undefined;
  const named = about?.clips ?? ((facts.clips as { file: string }[] | undefined) ?? []).map((clip) => clip.file);
  const where = clips ?? join(dirname(folder), "clips");
  const waveforms = await Promise.all(named.map((name) => readWaveform(join(where, name), rateHz)));
  return { tensors, facts, waveforms };
}

/** One line a stage: the worst difference over all clips, its tolerance, and how many times smaller it is. */
function report(name: string, checks: readonly Check[]): string {
  const stages = new Map<string, Check[]>();
  for (const check of checks) stages.set(check.stage, [...(stages.get(check.stage) ?? []), check]);
  const lines = [...stages].map(([stage, of]) => {
    const failed = of.filter((check) => !check.isOk);
    const worst = Math.max(...of.map((check) => check.difference ?? 0));
    const { tolerance } = of[0];
    const numbers =
      tolerance === undefined
        ? "identical"
        : `${worst.toExponential(1)}  tolerance ${tolerance.toExponential(0)}  margin ${worst > 0 ? `${(tolerance / worst).toFixed(0)} ×` : "exact"}`;
    const head = `  ${failed.length === 0 ? "ok  " : "FAIL"}  ${stage.padEnd(22)}${String(of.length).padStart(3)} ×  ${failed.length === 0 || tolerance !== undefined ? numbers : "different"}`;
    return [
      head,
      ...failed.map((check) => `        ${check.where}: ${check.detail ?? check.difference?.toExponential(1)}`),
    ].join("\n");
  });
  return [name, ...lines].join("\n");
}
