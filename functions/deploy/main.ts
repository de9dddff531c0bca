import { ConfigError } from '../../lib/errors.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import type { Arguments } from '../shared/arguments.ts';
import { confirm } from '../shared/confirm.ts';
import { formatInstallation, type Installation, openInstallation } from '../shared/installation.ts';
import { type Command, print, runSubcommand } from '../shared/run-command.ts';
import { parseDeploySettings } from './settings.ts';

// Each command is imported when it runs, so that a wrong command line is reported without loading an SDK.
await runSubcommand('deploy', {
  deploy: toCommand('deploy', ['yes'], async (installation, { switches }) => {
    const { deploy } = await import('./deploy.ts');
    return await deploy(installation, {
      print,
      confirm: (question) => confirm(question, switches.has('yes')),
    });
  }),
  render: toCommand('render', ['without-ca'], async (installation, { switches }) => {
    const { render } = await import('./render.ts');
    const settings = parseDeploySettings(installation.resolved);
    process.stderr.write(`${formatInstallation(installation)}\n`);
    process.stdout.write(await render(settings, { withoutCa: switches.has('without-ca') }));
    return true;
  }),
  undeploy: toCommand('undeploy', [], async (installation) => {
    const { undeploy } = await import('./undeploy.ts');
    print(formatInstallation(installation));
    return await undeploy(parseSettings(installation.resolved.env), print);
  }),
  status: toCommand('status', [], async (installation) => {
    const { formatStatus, readStatus } = await import('./status/index.ts');
    print(formatInstallation(installation));
    const page = await readStatus(parseSettings(installation.resolved.env));
    for (const line of formatStatus(page)) print(line);
    return page.isGood;
  }),
});

function toCommand(
  name: string,
  switches: readonly string[],
  act: (installation: Installation, args: Arguments) => Promise<boolean>,
): Command {
  return {
    usage: `usage: ${name} [--settings FILE]${switches.map((each) => ` [--${each}]`).join('')}; unset variables keep what is deployed, see knative/configuration.md`,
    flags: {
      settings: 'string',
      ...Object.fromEntries(switches.map((each) => [each, 'boolean' as const])),
    },
    async run(args) {
      if (args.problems.length > 0) throw new ConfigError(args.problems);
      const { env } = process;
      const settingsFile = args.values.get('settings');
      const mayBeForbidden = name === 'deploy';
      return await act(await openInstallation({ env, settingsFile, mayBeForbidden }), args);
    },
  };
}
