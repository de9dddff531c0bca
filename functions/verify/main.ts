import { runCommand } from '../shared/run-command.ts';
import { verify } from './command.ts';

await runCommand(verify);
