import { ConfigError } from '../../lib/errors.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { deploy } from './deploy.ts';
import { parseDeploySettings } from './settings.ts';
import { showStatus } from './status/index.ts';
import { undeploy } from './undeploy.ts';

type Print = (line: string) => void;

/** Each resolves with `false` if something is wrong. */
const commands = {
  deploy: async (print: Print) => await deploy(parseDeploySettings(process.env), print),
  undeploy: async (print: Print) => await undeploy(parseSettings(process.env), print),
  status: async (print: Print) => await showStatus(parseSettings(process.env), print),
};

const [command = ''] = process.argv.slice(2);
try {
  await main();
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`${command}: ${problem}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

async function main(): Promise<void> {
  if (!isCommand(command)) {
    throw new ConfigError([`usage: ${Object.keys(commands).join(' | ')}`]);
  }
  const isDone = await commands[command](print);
  if (!isDone) process.exitCode = 1;
}

function isCommand(value: string): value is keyof typeof commands {
  return Object.hasOwn(commands, value);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
