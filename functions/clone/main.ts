import { runCommand } from '../shared/run-command.ts';
import { clone } from './command.ts';

await runCommand(clone);
