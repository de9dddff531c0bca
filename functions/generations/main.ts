import { runProgram } from '../shared/run-program.ts';
import { generations, prune, rollback } from './commands.ts';

await runProgram({
  name: 'generations',
  description: 'The older copies of a tag in the backup.',
  groups: [{ title: 'Commands', commands: [generations, rollback, prune] }],
});
