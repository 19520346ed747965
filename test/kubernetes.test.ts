import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createProgram } from "nemo-stt";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";

const path = fileURLToPath(new URL("../examples/kubernetes/gateway.yaml", import.meta.url));
const documents = parseAllDocuments(readFileSync(path, "utf8"));
// biome-ignore lint/suspicious/noExplicitAny: manifests are of many kinds
const byKind = new Map<string, any>(documents.map((document) => [document.toJS().kind, document.toJS()]));
const service = byKind.get("Service");
const set = byKind.get("StatefulSet");
const [container] = set.spec.template.spec.containers;

test("the manifest is YAML without errors, of the kinds that it should have", () => {
  for (const document of documents) expect([...document.errors, ...document.warnings]).toEqual([]);
  expect([...byKind.keys()]).toEqual(["Service", "StatefulSet", "NetworkPolicy"]);
  for (const { apiVersion, metadata } of byKind.values())
    expect([apiVersion, metadata.name]).toEqual([expect.stringMatching(/^(v1|\w[\w.]*\/v1)$/), "nemo-stt"]);
});

test("the gateway takes its command line, and its ports and probes are the gateway's own", async () => {
  const program = createProgram({ out: () => {}, err: () => {}, progress: () => ({ update() {}, stop() {} }) });
  let flags: Record<string, unknown> = {};
  program.commands
    .find((command) => command.name() === "gateway")
    ?.action((given) => {
      flags = given;
    });
  const [name, ...args] = container.command;
  await program.parseAsync(args, { from: "user" });
  expect([name, args[0]]).toEqual(["nemo-stt", "gateway"]);
  const ports = Object.fromEntries(
    container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
  );
  expect({ ports, hosts: [flags.host, flags.httpHost] }).toEqual({
    ports: { audio: flags.audioPort, text: (flags.textPort as { port: number }[])[0].port, http: flags.httpPort },
    hosts: ["0.0.0.0", "0.0.0.0"],
  });
  expect(service.spec.ports.map((port: { port: number; targetPort: string }) => [port.targetPort, port.port])).toEqual(
    Object.entries(ports),
  );
  for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
    const { path: asked, port } = container[probe].httpGet;
    expect([probe, asked, port]).toEqual([probe, probe === "readinessProbe" ? "/readyz" : "/healthz", "http"]);
  }
  expect(set.spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(flags.drain as number);
});

test("what is saved is on the volume, and nothing else can be written", () => {
  const state = container.command.find((arg: string) => arg.startsWith("--state=")).slice("--state=".length);
  const mounts = container.volumeMounts.map((mount: { name: string; mountPath: string }) => [
    mount.name,
    mount.mountPath,
  ]);
  expect(mounts).toEqual([
    ["state", "/var/lib/nemo-stt"],
    ["tmp", "/tmp"],
    ["http-token", "/etc/nemo-stt/http"],
  ]);
  expect(state.startsWith("/var/lib/nemo-stt/")).toBe(true);
  expect(set.spec.volumeClaimTemplates[0].metadata.name).toBe("state");
  expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
  expect(set.spec.replicas).toBe(1);
});

test("viewers need the token of a Secret, scrapers of metrics do not", () => {
  const { secret } = set.spec.template.spec.volumes.find(({ name }: { name: string }) => name === "http-token");
  const { mountPath } = container.volumeMounts.find(({ name }: { name: string }) => name === "http-token");
  const [{ key, path: file }] = secret.items;
  expect(container.command).toContain(`--http-token-file=${mountPath}/${file}`);
  expect(container.command).toContain("--http-open-metrics");
  expect(container.command).not.toContain("--http-open");
  expect(set.spec.template.metadata.annotations["prometheus.io/path"]).toBe("/metrics");
  // It is made by command: nothing in the file is one.
  expect(readFileSync(path, "utf8")).toMatch(
    new RegExp(`^# *kubectl create secret generic .* ${secret.secretName} --from-literal=${key}="\\$\\(openssl `, "m"),
  );
  expect(byKind.has("Secret")).toBe(false);
});

test("the Service and the policy select the pod", () => {
  const { labels } = set.spec.template.metadata;
  for (const selector of [
    service.spec.selector,
    set.spec.selector.matchLabels,
    byKind.get("NetworkPolicy").spec.podSelector.matchLabels,
  ])
    expect(selector).toEqual(labels);
});
