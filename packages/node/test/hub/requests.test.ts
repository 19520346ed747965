import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { SpeechError } from "@nemo-stt/core";
import { describe, expect, test, vi } from "vitest";
import { type Attempt, retrying } from "../../src/hub/requests.ts";
import { pullModel } from "../../src/hub.ts";
import { hubFixture, NAME, SUM } from "./hub-fixture.ts";

const { fixture, pauses, timing, serve, pull, repositoryAt, blobs } = hubFixture();

describe("retrying", () => {
  test("pauses longer each time, and as long as the server asks", async () => {
    serve();
    fixture.hub.hubFaults.push({ status: 503 }, { status: 429, headers: { "retry-after": "7" } }, { status: 500 });
    fixture.hub.faults.push({ status: 503 });
    await pull();
    expect(pauses).toEqual([1000, 7000, 4000, 1000]);
  });

  test("goes on without end while there is progress, and forgives then what is lasting before", async () => {
    const access = {
      hubName: NAME,
      revision: "main",
      endpoint: "http://x",
      token: undefined,
      signal: undefined,
      timing,
    };
    const failure = new SpeechError("NETWORK_FAILED", "down");
    const outcomes = (list: Attempt<string>[]) => async () => list.shift() ?? { value: "done" };
    await expect(retrying(access, outcomes([{ failure, isLasting: true }]))).rejects.toBe(failure);
    expect(pauses).toEqual([]);
    const lasting: Attempt<string>[] = [{ failure, isProgress: true }, ...Array(4).fill({ failure, isLasting: true })];
    expect(await retrying(access, outcomes(lasting))).toBe("done");
    expect(pauses.splice(0)).toEqual([1000, 2000, 4000, 8000, 16000]);
    expect(await retrying(access, outcomes(Array(50).fill({ failure, isProgress: true })))).toBe("done");
    expect(pauses).toEqual(Array(50).fill(1000));
  });

  test("understands a date to come back at", async () => {
    serve();
    const date = new Date(Date.now() + 3_600_000).toUTCString();
    fixture.hub.hubFaults.push({ status: 503, headers: { "retry-after": date } });
    await expect(pull()).rejects.toThrow(
      /got status 503 and the wish to be left alone for 3(600|59\d) s\. Try again later\./,
    );
  });

  test("does not wait for minutes", async () => {
    serve();
    fixture.hub.hubFaults.push({ status: 429, headers: { "retry-after": "300" } });
    await expect(pull()).rejects.toThrow(
      /got status 429 and the wish to be left alone for 300 s\. Wait, or set HF_TOKEN: the hub allows more/,
    );
    expect(pauses).toEqual([]);
  });

  test("an abort ends a pause and a download with its reason, and what arrived is kept", async () => {
    serve();
    fixture.hub.hubFaults.push({ status: 503 });
    const inPause = new AbortController();
    const sleep = async (ms: number, signal: AbortSignal | undefined) => {
      inPause.abort("in the pause");
      await wait(ms, undefined, { signal });
    };
    await expect(pullModel(NAME, { signal: inPause.signal }, { ...timing, sleep })).rejects.toBe("in the pause");
    const abort = new AbortController();
    fixture.hub.faults.push({ stallAfterBytes: 100_000 });
    const onProgress = ({ doneBytes }: { doneBytes: number }) => {
      if (doneBytes >= 100_000) abort.abort("stop");
    };
    await expect(pull({ signal: abort.signal, onProgress })).rejects.toBe("stop");
    expect(await blobs()).toEqual([`${SUM}.incomplete`]);
    await expect(pull({ signal: AbortSignal.abort("before") })).rejects.toBe("before");
  });
});

describe("openAnswer", () => {
  test("shows the token to the hub and not to the storage behind it", async () => {
    serve().gatedFor = "hf_secret";
    vi.stubEnv("HF_TOKEN", "hf_secret\n");
    await pull();
    const sent = fixture.hub.requests.map(({ line, authorization }) => [line.split(" ")[0], authorization]);
    expect(sent.filter(([server]) => server === "hub").every(([, token]) => token === "Bearer hf_secret")).toBe(true);
    expect(sent.filter(([server]) => server === "storage")).toEqual([["storage", undefined]]);
  });

  test("takes the option before the environment, and that before what `hf auth login` left", async () => {
    serve().gatedFor = "any-token";
    await writeFile(join(fixture.home, "token"), "any-token");
    await pull();
    await rm(repositoryAt(), { recursive: true });
    vi.stubEnv("HF_TOKEN", "another");
    await expect(pull()).rejects.toThrow(/got status 403: the model is gated/);
    await pull({ token: "any-token" });
  });

  test("says where to accept the licence of a gated model", async () => {
    serve().gatedFor = "hf_secret";
    const without = pull();
    await expect(without).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(without).rejects.toThrow(
      `${fixture.hub.endpoint}/nvidia/tiny: expected access, got status 401: the model is gated. Accept its licence on that page, and set HF_TOKEN to a token of that account.`,
    );
    await expect(pull({ token: "hf_other" })).rejects.toThrow(
      "Accept its licence on that page, with the account of your token.",
    );
    expect(pauses).toEqual([]);
  });

  test.each([
    [401, "hf_old", "NETWORK_FAILED", "got status 401. The token is not accepted: renew it, or unset HF_TOKEN"],
    [403, "hf_old", "NETWORK_FAILED", "got status 403. The token may not read this model, or the hub is blocked here"],
    [404, "hf_old", "NOT_FOUND", "expected a model of that name, got status 404. Check the name"],
    [401, "", "NOT_FOUND", "got status 401. Check the name; `nemo-stt models` lists NVIDIA's. If it is private"],
    [418, "", "NETWORK_FAILED", "expected an answer of the hub, got status 418. Check HF_ENDPOINT."],
  ])("tells what status %i with token %j means", async (status, token, code, text) => {
    serve();
    fixture.hub.hubFaults.push({ status });
    const failed = pull({ token });
    await expect(failed).rejects.toMatchObject({ code });
    await expect(failed).rejects.toThrow(text);
  });

  test("does not show a broken token", async () => {
    await expect(pull({ token: "hf_se cret" })).rejects.toThrow(
      /^HF_TOKEN: expected a token of letters and digits, got other characters in it\. Copy it again\.$/,
    );
  });
});
