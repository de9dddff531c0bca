import { parseSettings } from '../../lib/install/settings.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import { type Command, print, runSubcommand } from '../shared/run-command.ts';
import { parseDeploySettings } from './settings.ts';

type Print = (line: string) => void;

// Each command is imported when it runs, so that a wrong command line is reported without loading an SDK.
await runSubcommand('deploy', {
  deploy: toCommand(
    'deploy',
    parseDeploySettings,
    async () => (await import('./deploy.ts')).deploy,
  ),
  undeploy: toCommand('undeploy', parseSettings, async () => {
    return (await import('./undeploy.ts')).undeploy;
  }),
  status: toCommand('status', parseSettings, async () => {
    return (await import('./status/index.ts')).showStatus;
  }),
});

function toCommand<Settings>(
  name: string,
  parse: (env: NodeJS.ProcessEnv) => Settings,
  load: () => Promise<(settings: Settings, print: Print) => Promise<boolean>>,
): Command {
  return {
    usage: `usage: ${name}; every setting comes from the environment, see knative/configuration.md`,
    async run({ problems }) {
      const [settings] = await allOrProblems(problems, [attempt(() => parse(process.env))]);
      const command = await load();
      return await command(settings, print);
    },
  };
}
