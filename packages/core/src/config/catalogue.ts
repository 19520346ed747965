import { CATALOGUE_FAMILIES, MODERN, REGISTERED } from "./catalogue-names.ts";
import { REFUSAL_REASONS, type RefusalReason } from "./refusals.ts";

/** A family of published models: one architecture with one kind of head. */
export type CatalogueFamily = keyof typeof CATALOGUE_FAMILIES;

/** A published model: what it is and whether it runs here. */
export interface CatalogueEntry {
  readonly name: string;
  readonly family: CatalogueFamily;
  /** Encoder and head, for people. */
  readonly description: string;
  /** NeMo's class. */
  readonly className: string;
  /** On the Hugging Face hub, by NVIDIA's convention; not every old model was put there. */
  readonly hubId: string;
  /** Whether NeMo's source registers the name (`list_available_models`). */
  readonly isRegistered: boolean;
  /** Why the model is not built; undefined where it is. */
  readonly refusal: RefusalReason | undefined;
}

/** Every model of NVIDIA's that is known by name: the 127 that NeMo registers, then those published since. */
export const CATALOGUE: readonly CatalogueEntry[] = [...entriesOf(REGISTERED, true), ...entriesOf(MODERN, false)];

function entriesOf(table: typeof REGISTERED, isRegistered: boolean): CatalogueEntry[] {
  return table.flatMap(([family, ...patterns]) =>
    patterns.flatMap(expandNames).map((name): CatalogueEntry => {
      const { description, className, refusal } = CATALOGUE_FAMILIES[family] as FamilyInfo;
      return { name, family, description, className, hubId: `nvidia/${name}`, isRegistered, refusal };
    }),
  );
}

/** What a family has in common. */
export interface FamilyInfo {
  readonly description: string;
  readonly className: string;
  readonly refusal?: RefusalReason;
}

/** The names that a pattern stands for: `a_{x,y}` is `a_x` and `a_y`. */
function expandNames(pattern: string): string[] {
  const group = /\{([^}]*)\}/.exec(pattern);
  if (!group) return [pattern];
  const [before, after] = [pattern.slice(0, group.index), pattern.slice(group.index + group[0].length)];
  return group[1].split(",").flatMap((choice) => expandNames(before + choice + after));
}

/** The catalogue as Markdown: what docs/models.md shows between its markers. */
export function renderCatalogue(): string {
  const supported = CATALOGUE.filter((entry) => entry.refusal === undefined).length;
  const registered = CATALOGUE.filter((entry) => entry.isRegistered);
  const modern = CATALOGUE.filter((entry) => !entry.isRegistered);
  return [
    `${CATALOGUE.length} models: ${supported} supported, ${CATALOGUE.length - supported} refused.`,
    `## The ${registered.length} names that NeMo registers`,
    tableOf(registered),
    "## Published since",
    tableOf(modern),
    "## Why models are refused",
    refusalTable(),
    "",
  ].join("\n\n");
}

function tableOf(entries: readonly CatalogueEntry[]): string {
  const rows = entries.map(({ name, description, className, refusal }) => {
    return `| \`${name}\` | ${description} | \`${className}\` | ${refusal === undefined ? "supported" : `refused: ${refusal}`} |`;
  });
  return ["| name | model | class | |", "|---|---|---|---|", ...rows].join("\n");
}

function refusalTable(): string {
  const rows = Object.entries(REFUSAL_REASONS).map(
    ([reason, sentence]) => `| ${reason} | This model is ${sentence}. |`,
  );
  return ["| | what the refusal says |", "|---|---|", ...rows].join("\n");
}
