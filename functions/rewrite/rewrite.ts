import { createAskOnce } from '../../lib/fleet/ask-once.ts';
import type { Config } from '../../lib/index.ts';
import {
  addResults,
  type Note,
  type RewrittenText,
  rewriteManifests,
} from '../../lib/rewrite/index.ts';
import { toPrintable } from '../../lib/util/printable.ts';
import { type Copier, openCopier } from '../shared/adapters/open-copier.ts';
import { allOrProblems } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { createInterruptSignal } from '../shared/run-command.ts';
import { readChosenEnv } from '../shared/settings/command-env.ts';
import { count } from '../shared/terminal/list-objects.ts';
import { createStderrDisplay } from '../shared/terminal/progress-display.ts';
import { joinTexts, type ManifestFile, readFiles, writeInPlace } from './files.ts';

interface RewrittenFile {
  readonly file: ManifestFile;
  readonly rewritten: RewrittenText;
}

/** Resolves with whether everything was rewritten or, with `--check`, the backup has every image. */
export async function rewrite(args: Arguments): Promise<boolean> {
  const { switches, positionals, problems } = args;
  const display = createStderrDisplay();
  const [files, copier] = await allOrProblems(problems, [
    readFiles(positionals),
    readChosenEnv(args, process.env).then((env) =>
      openCopier(env, display, { shared: switches.has('shared') }),
    ),
  ]);
  for (const note of listUnknown(copier.config)) say(`Note: ${note}`);
  const all = await rewriteFiles(files, copier, args);
  for (const { file, rewritten } of all) {
    for (const note of rewritten.warnings) say(`Warning: ${format(file, note)}`);
    for (const note of rewritten.problems) say(format(file, note));
  }
  const isRefused = all.some(({ rewritten }) => rewritten.problems.length > 0);
  if (switches.has('check')) return reportCheck(all) && !isRefused;
  const texts = all.map(({ rewritten }) => addResults(rewritten.text, rewritten) ?? rewritten.text);
  if (isRefused) {
    // A KRM function says why in its output.
    const [list] = all.flatMap(({ rewritten }) => addResults(rewritten.text, rewritten) ?? []);
    if (list !== undefined && all.length === 1) process.stdout.write(list);
    else say('nothing was written');
    return false;
  }
  if (switches.has('in-place')) await writeAll(all);
  else process.stdout.write(joinTexts(texts));
  return true;
}

async function rewriteFiles(
  files: readonly ManifestFile[],
  copier: Copier,
  { switches, values }: Arguments,
): Promise<readonly RewrittenFile[]> {
  const signal = createInterruptSignal(copier.stop);
  const { ask, outage } = createAskOnce({ ensure: copier.ensureBackup });
  const looksUp = switches.has('check');
  const deps = {
    policy: copier.policy,
    ask,
    outage,
    copies: !looksUp && !switches.has('no-copy'),
    looksUp,
    namespace: values.get('namespace') ?? 'default',
    signal,
  };
  const all: RewrittenFile[] = [];
  for (const file of files) all.push({ file, rewritten: await rewriteManifests(file.text, deps) });
  if (!signal.aborted) await copier.finish();
  return all;
}

async function writeAll(all: readonly RewrittenFile[]): Promise<void> {
  for (const { file, rewritten } of all) {
    if (file.path !== undefined && rewritten.text !== file.text) {
      await writeInPlace(file.path, rewritten.text);
      say(`${file.path}: rewritten`);
    }
  }
}

/** Prints each image that the backup lacks. */
function reportCheck(all: readonly RewrittenFile[]): boolean {
  const missing = [...new Set(all.flatMap(({ rewritten }) => rewritten.missing))].toSorted();
  const images = all.reduce((sum, { rewritten }) => sum + rewritten.images, 0);
  for (const image of missing) process.stdout.write(`${toPrintable(image)}\n`);
  const clone = missing.length === 0 ? '' : ': image-cloner clone IMAGE';
  say(`${count(images, 'image')}: the backup lacks ${missing.length}${clone}`);
  return missing.length === 0;
}

/** What the webhook reads from the cluster. */
function listUnknown({
  backupPullSecret,
  pullSecrets,
  namespaceOverrides,
}: Config): readonly string[] {
  return [
    ...(pullSecrets && backupPullSecret !== undefined
      ? [
          `pull secrets of ServiceAccounts are not known here: a pod that names none gets ${backupPullSecret} alone`,
        ]
      : []),
    ...(namespaceOverrides.length > 0
      ? ['annotations of namespaces (NAMESPACE_OVERRIDES) are not known here']
      : []),
  ];
}

function format({ name }: ManifestFile, { line, object, message }: Note): string {
  return [`${name}:${line}`, ...(object === '' ? [] : [object]), message].join(': ');
}

function say(text: string): void {
  process.stderr.write(`${toPrintable(text)}\n`);
}
