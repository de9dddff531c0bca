import { ConfigError } from '../../lib/errors.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { confirm } from '../shared/confirm.ts';
import { formatInstallation, type Installation, openInstallation } from '../shared/installation.ts';
import { print, printJson } from '../shared/run-command.ts';
import { deploy } from './deploy.ts';
import { render } from './render.ts';
import { parseDeploySettings } from './settings.ts';
import { formatStatus, readStatus } from './status/index.ts';
import { undeploy } from './undeploy.ts';

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
  const asJson = args.switches.has('json');
  if (!asJson) print(formatInstallation(installation));
  const page = await readStatus(parseSettings(installation.resolved.env));
  const { context, namespace, name } = installation;
  if (asJson) printJson({ context, namespace, name, ...page });
  else for (const line of formatStatus(page)) print(line);
  return page.isGood;
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
