import { runCommand } from '../shared/run-command.ts';
import { pullSecret } from './command.ts';

await runCommand(pullSecret);
