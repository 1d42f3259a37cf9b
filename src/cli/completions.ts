import { Argument, Command } from 'commander'
import { completionScript, SHELLS, type Shell } from './completion-scripts.js'
import { withExamples } from './examples.js'
import { verb } from './subcommand.js'
import { surfaces } from './surface.js'

const program = (): Command =>
  withExamples(definition(), [
    ['source <(qi-jail completions bash)', 'in ~/.bashrc'],
    ['qi-jail completions zsh > ~/.zsh/_qi-jail', 'into a folder of fpath; then start zsh anew'],
    ['qi-jail completions fish > ~/.config/fish/completions/qi-jail.fish', '']
  ])

const definition = (): Command =>
  new Command('qi-jail completions')
    .description('Prints what makes a shell complete verbs, options, profiles, and the command in the jail.')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(SHELLS))
    .option('--json', 'errors as JSON')
    .helpOption('-h, --help', 'print this help')

export const completions = verb(program, async (command) =>
  completionScript(command.args[0] as Shell, await surfaces())
)
