import { readFile } from 'node:fs/promises';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import {
  findListedTag,
  type OldGeneration,
  type PruneRules,
  planPrune,
  type RemovalResult,
  readHoldings,
  removeGeneration,
} from '../../lib/generations/index.ts';
import { formatReference, type Repository } from '../../lib/image/reference.ts';
import { formatTable } from '../shared/terminal/format-table.ts';
import { type Backup, shortenDigest, toBackupTag } from './backup.ts';

export interface PruneOptions {
  readonly images: readonly string[];
  /** @default report only */
  readonly apply: boolean;
  /** A text file in any format; every digest in it is in use. */
  readonly usedFile: string | undefined;
}

export interface PruneReport {
  /** `KEEP_GENERATIONS`; absent: every generation is kept. */
  readonly keep?: number;
  readonly rows: readonly PruneRow[];
}

/** A repository of the backup. Absent `tags` select all of them. */
interface Selection extends Repository {
  readonly tags?: readonly string[];
}

/** One generation beyond `KEEP_GENERATIONS`. */
interface PruneRow {
  /** The tags whose generation it is. */
  readonly images: readonly string[];
  readonly digest: string;
  readonly status: RemovalResult['status'] | 'removable' | 'kept';
  readonly keptBecause?: string;
  /** Number of signatures and attestations that are removed with it. */
  readonly attachmentCount: number;
}

const headers = ['IMAGE', 'DIGEST', 'VERDICT'];

/** Reports generations beyond `KEEP_GENERATIONS`, and removes them with `apply`. */
export async function prune(
  backup: Backup,
  { images, apply, usedFile }: PruneOptions,
  report: (report: PruneReport) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const { keepGenerations: keep, pinDigests } = backup.config;
  if (keep === undefined) {
    report({ rows: [] });
    return true;
  }
  if (apply && pinDigests && usedFile === undefined) {
    throw new ConfigError([
      'PIN_DIGESTS=true: workloads name digests, which this command does not see: list the digests in use in a file (--used FILE), see README',
    ]);
  }
  const used = await readUsed(usedFile);
  const selections =
    images.length > 0 ? toSelections(images, backup) : await selectAll(backup, signal);
  const rows: PruneRow[] = [];
  try {
    for (const { tags, ...location } of selections) {
      const repository = await backup.registry.repository(location, signal);
      const holdings = await readHoldings(repository, signal);
      const listed = tags?.map((tag) => findListedTag(repository, tag, holdings, signal));
      const rules: PruneRules = {
        keep,
        used,
        ...(listed !== undefined && { tags: await Promise.all(listed) }),
      };
      for (const old of await planPrune(repository, holdings, rules, signal)) {
        const isRemovable = apply && old.keptBecause === undefined;
        const result = isRemovable
          ? await removeGeneration(repository, old, rules, signal)
          : undefined;
        rows.push(toRow(location, old, result));
      }
    }
  } catch (error) {
    // The report includes what was removed before the failure.
    if (rows.some(({ status }) => status === 'removed')) report({ keep, rows });
    throw error;
  }
  report({ keep, rows });
  return true;
}

/** @param next the command line that removes what is listed */
export function formatPrune({ keep, rows }: PruneReport, next: string): readonly string[] {
  if (keep === undefined) return ['KEEP_GENERATIONS is not set: every generation is kept'];
  const body = rows.map((row) => [
    row.images.join(', '),
    shortenDigest(row.digest),
    describeVerdict(row),
  ]);
  const table = rows.length === 0 ? [] : formatTable([headers, ...body]);
  return [...table, summarize(rows, keep, next)];
}

function summarize(rows: readonly PruneRow[], keep: number, next: string): string {
  const count = (wanted: PruneRow['status']): number =>
    rows.filter(({ status }) => status === wanted).length;
  const [removed, removable] = [count('removed'), count('removable')];
  const rule = `KEEP_GENERATIONS=${keep}`;
  if (removed > 0) {
    return `${removed} removed; the garbage collection of the registry frees the space`;
  }
  if (removable > 0) return `${removable} would be removed with ${rule}; to remove them: ${next}`;
  return count('still-tagged') > 0
    ? 'nothing was removed: the registry deletes later, or keeps the tags of a digest that it deletes'
    : `nothing to remove with ${rule}`;
}

/** @param result absent if nothing was tried */
function toRow(
  repository: Repository,
  old: OldGeneration,
  result: RemovalResult | undefined,
): PruneRow {
  const { digest, keptBecause } = old;
  const { domain, path } = repository;
  return {
    images: old.of.map((tag) => formatReference({ domain, path, tag })),
    digest,
    status: result?.status ?? (keptBecause === undefined ? 'removable' : 'kept'),
    ...(keptBecause !== undefined && { keptBecause }),
    attachmentCount:
      (result?.status === 'removed' ? result.attachmentCount : old.attachmentCount) ?? 0,
  };
}

function describeVerdict({ status, keptBecause, attachmentCount }: PruneRow): string {
  switch (status) {
    case 'kept':
      return `kept: ${keptBecause}`;
    case 'removable':
      return `would be removed${countAttachments(attachmentCount)}`;
    case 'removed':
      return `removed${countAttachments(attachmentCount)}`;
    case 'changed':
      return 'kept: changed in the meantime';
    case 'still-tagged':
      return 'kept: the registry reported no error, but its tags still hold it';
  }
}

function countAttachments(count: number): string {
  if (count === 0) return '';
  return count === 1
    ? ', with 1 signature or attestation'
    : `, with ${count} signatures or attestations`;
}

async function readUsed(file: string | undefined): Promise<ReadonlySet<string> | undefined> {
  if (file === undefined) return undefined;
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) throw new ConfigError([`--used ${file} cannot be read`]);
  const used = new Set(text.match(/\bsha(256|384|512):[0-9a-f]{64,128}\b/g));
  if (used.size > 0) return used;
  throw new ConfigError([
    `--used ${file} names no digest and would protect nothing: check that it holds the output of kubectl`,
  ]);
}

function toSelections(images: readonly string[], { location }: Backup): readonly Selection[] {
  const selections = new Map<string, Selection & { readonly tags: string[] }>();
  for (const { domain, path, tag } of images.map((image) => toBackupTag(image, location))) {
    const selection = selections.get(path) ?? { domain, path, tags: [] };
    selection.tags.push(tag);
    selections.set(path, selection);
  }
  return [...selections.values()];
}

async function selectAll(
  { registry, location }: Backup,
  signal: AbortSignal,
): Promise<readonly Selection[]> {
  const { domain, namespace: path } = location;
  const advice = `name the images, such as "just prune nginx:1.27"`;
  try {
    const repositories = await registry.repositories({ domain, path }, signal);
    if (repositories.length > 0) return repositories;
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    throw new CloneError(error.code, `${error.message}; ${advice}`, { cause: error });
  }
  throw new CloneError(
    'BACKUP_NOT_FOUND',
    `the backup registry ${domain} lists no repository below ${path}: ${advice}`,
  );
}
