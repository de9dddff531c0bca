import packageJson from '../../package.json' with { type: 'json' };
import { runProgram } from '../shared/run-program.ts';
import { commandGroups } from './commands.ts';

export async function runCli(): Promise<void> {
  const { name, version, description } = packageJson;
  await runProgram({ name, version, description, groups: commandGroups });
}
