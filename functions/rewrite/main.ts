import { runCommand } from '../shared/run-command.ts';
import { rewrite } from './command.ts';

await runCommand(rewrite);
