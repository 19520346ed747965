import { copyFile, link, mkdir, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

/**
 * Puts a blob into a commit's snapshot as the hub's clients do: a relative link, so that the cache can be moved. Where
 * links need privileges (Windows) it is a second name of the file, or a copy.
 */
export async function linkIntoSnapshot(blob: string, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.size === (await stat(blob)).size) return;
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, async (temporary) => {
    await symlink(relative(dirname(path), blob), temporary)
      .catch(() => link(blob, temporary))
      .catch(() => copyFile(blob, temporary));
  });
}

/** Notes which commit a branch or tag was, for those who look for the model without the hub. */
export async function writeRef(repository: string, revision: string, commit: string): Promise<void> {
  const path = join(repository, "refs", revision);
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, (temporary) => writeFile(temporary, commit));
}

/** Several processes may do this at a time: the path never shows anything half done. */
async function replaceFile(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}-${++numReplaced}`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

let numReplaced = 0;
