import { readFile } from 'node:fs/promises';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import {
  type OldGeneration,
  type PruneRules,
  planPrune,
  readHoldings,
  removeGeneration,
} from '../../lib/generations/index.ts';
import { formatReference, type Repository } from '../../lib/image/reference.ts';
import { formatTable } from '../shared/format-table.ts';
import { type Backup, toBackupTag } from './backup.ts';
import { formatDigest } from './format.ts';

export interface PruneOptions {
  readonly images: readonly string[];
  /** @default report only */
  readonly apply: boolean;
  /** A file in which the digests of images in use stand, in any form. */
  readonly usedFile: string | undefined;
}

/** A repository of the backup, and the tags of it that are meant; all where there are none. */
interface Place extends Repository {
  readonly tags?: readonly string[];
}

const headers = ['IMAGE', 'DIGEST', 'VERDICT'];

/** Reports, or removes, generations beyond `KEEP_GENERATIONS`. */
export async function prune(
  backup: Backup,
  { images, apply, usedFile }: PruneOptions,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const { keepGenerations: keep, pinDigests } = backup.config;
  if (keep === undefined) {
    print('KEEP_GENERATIONS is not set: every generation is kept');
    return true;
  }
  if (apply && pinDigests && usedFile === undefined) {
    throw new ConfigError([
      'PIN_DIGESTS=true: workloads name digests, and this command does not see them; give a file that lists what is in use (--used FILE), see README',
    ]);
  }
  const used = await readUsed(usedFile);
  const places = images.length > 0 ? toPlaces(images, backup) : await findPlaces(backup, signal);
  const rows: (readonly string[])[] = [];
  try {
    for (const { tags, ...place } of places) {
      const repository = await backup.registry.repository(place, signal);
      const rules: PruneRules = { keep, used, ...(tags !== undefined && { tags }) };
      const old = await planPrune(
        repository,
        await readHoldings(repository, signal),
        rules,
        signal,
      );
      for (const generation of old) {
        const verdict = await judge(generation, async () =>
          apply ? await removeGeneration(repository, generation, rules, signal) : undefined,
        );
        rows.push([nameOf(place, generation), formatDigest(generation.digest), verdict]);
      }
    }
  } catch (error) {
    // What was removed before it failed is told all the same.
    if (rows.some(([, , verdict]) => verdict === 'removed')) printRows(rows, keep, print);
    throw error;
  }
  printRows(rows, keep, print);
  return true;
}

function printRows(
  rows: readonly (readonly string[])[],
  keep: number,
  print: (line: string) => void,
): void {
  const count = (wanted: string): number =>
    rows.filter(([, , verdict]) => verdict === wanted).length;
  const [removed, wouldGo] = [count('removed'), count('would go')];
  if (rows.length > 0) for (const line of formatTable([headers, ...rows])) print(line);
  const rule = `KEEP_GENERATIONS=${keep}`;
  if (removed > 0) {
    print(`${removed} removed; the space comes back with the registry's own garbage collection`);
  } else if (wouldGo > 0) print(`${wouldGo} would go with ${rule}; --apply removes them`);
  else print(`nothing to remove with ${rule}`);
}

async function judge(
  { keptBecause }: OldGeneration,
  remove: () => Promise<boolean | undefined>,
): Promise<string> {
  if (keptBecause !== undefined) return `stays: ${keptBecause}`;
  const isRemoved = await remove();
  if (isRemoved === undefined) return 'would go';
  return isRemoved ? 'removed' : 'stays: changed in the meantime';
}

/** Whatever stands in it, a manifest of the cluster or a list: each digest counts. */
async function readUsed(file: string | undefined): Promise<ReadonlySet<string>> {
  if (file === undefined) return new Set();
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) throw new ConfigError([`--used ${file} cannot be read`]);
  const used = new Set(text.match(/\bsha(256|384|512):[0-9a-f]{64,128}\b/g));
  if (used.size > 0) return used;
  throw new ConfigError([
    `--used ${file} names no digest, and would protect nothing: is it what kubectl printed?`,
  ]);
}

function toPlaces(images: readonly string[], { location }: Backup): readonly Place[] {
  const places = new Map<string, Place & { readonly tags: string[] }>();
  for (const { domain, path, tag } of images.map((image) => toBackupTag(image, location))) {
    const place = places.get(path) ?? { domain, path, tags: [] };
    place.tags.push(tag);
    places.set(path, place);
  }
  return [...places.values()];
}

async function findPlaces(
  { registry, location }: Backup,
  signal: AbortSignal,
): Promise<readonly Place[]> {
  const { domain, namespace: path } = location;
  const advice = `name the images, such as "just prune nginx:1.27"`;
  try {
    const found = await registry.repositories({ domain, path }, signal);
    if (found.length > 0) return found;
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    throw new CloneError(error.code, `${error.message}; ${advice}`, { cause: error });
  }
  throw new CloneError(
    'BACKUP_NOT_FOUND',
    `${domain} lists no repository below ${path}; ${advice}`,
  );
}

function nameOf(repository: Repository, { of }: OldGeneration): string {
  const { domain, path } = repository;
  return of.map((tag) => formatReference({ domain, path, tag })).join(', ');
}
