import { runCommand } from '../shared/run-command.ts';
import { gen } from './command.ts';

await runCommand(gen);
