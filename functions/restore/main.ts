import { runCommand } from '../shared/run-command.ts';
import { restore } from './command.ts';

await runCommand(restore);
