import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError } from '../../lib/errors.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { print, printJson, toSentence } from '../shared/run-command.ts';
import {
  formatInstallation,
  type Installation,
  openInstallation,
} from '../shared/settings/installation.ts';
import { confirm } from '../shared/terminal/confirm.ts';
import { deploy } from './deploy.ts';
import { render } from './render.ts';
import { parseDeploySettings } from './settings.ts';
import { formatStatus, readStatus } from './status/index.ts';
import { undeploy } from './undeploy.ts';

const watchMs = 5_000;
/** Moves the cursor to the top and erases what is below. */
const clearScreen = '\u001b[H\u001b[J';

export async function runDeploy(args: Arguments): Promise<boolean> {
  const isAgreed = args.switches.has('yes');
  return await deploy(await open(args, { mayBeForbidden: true }), {
    print,
    confirm: (question) => confirm(question, isAgreed),
  });
}

export async function runRender(args: Arguments): Promise<boolean> {
  const installation = await open(args);
  const settings = parseDeploySettings(installation.resolved);
  process.stderr.write(`${formatInstallation(installation)}\n`);
  process.stdout.write(await render(settings, { withoutCa: args.switches.has('without-ca') }));
  return true;
}

export async function runStatus(args: Arguments): Promise<boolean> {
  const installation = await open(args);
  if (args.switches.has('watch')) return await watchStatus(installation);
  const asJson = args.switches.has('json');
  if (!asJson) print(formatInstallation(installation));
  const page = await readStatus(parseSettings(installation.resolved.env));
  const { context, namespace, name } = installation;
  if (asJson) printJson({ context, namespace, name, ...page });
  else for (const line of formatStatus(page)) print(line);
  return page.isGood;
}

/** Shows the page until Ctrl-C. Resolves with whether every part was good at the end. */
async function watchStatus(installation: Installation): Promise<boolean> {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  const install = parseSettings(installation.resolved.env);
  let isGood = false;
  while (!interrupt.signal.aborted) {
    const lines = await readStatus(install).then(
      (page) => {
        isGood = page.isGood;
        return formatStatus(page);
      },
      (error: unknown) => {
        isGood = false;
        return [`the cluster cannot be read: ${toSentence(error)}`];
      },
    );
    if (process.stdout.isTTY) process.stdout.write(clearScreen);
    const time = new Date().toISOString().slice(11, 19);
    for (const line of [`${time}Z ${formatInstallation(installation)}`, ...lines, '']) print(line);
    await delay(watchMs, undefined, { signal: interrupt.signal }).catch(() => undefined);
  }
  return isGood;
}

export async function runUndeploy(args: Arguments): Promise<boolean> {
  const installation = await open(args);
  print(formatInstallation(installation));
  const { namespace, name } = installation;
  const question = `Remove the installation ${namespace}/${name} from this cluster?`;
  if (!(await confirm(question, args.switches.has('yes')))) return false;
  return await undeploy(parseSettings(installation.resolved.env), print);
}

async function open(
  { problems, values }: Arguments,
  { mayBeForbidden = false } = {},
): Promise<Installation> {
  if (problems.length > 0) throw new ConfigError(problems);
  const { env } = process;
  return await openInstallation({ env, settingsFile: values.get('settings'), mayBeForbidden });
}
