import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** Builds the package, once for all tests that run the command. */
export default (): void => {
  execFileSync('npm', ['run', 'build', '--silent'], { cwd: join(import.meta.dirname, '../..'), stdio: 'inherit' })
}
