// Lint rules; the `layer` blocks keep imports pointing one way (ARCHITECTURE.md).
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Forbids files below `folder` to import from the named layers. */
function layer(folder, forbidden) {
  return {
    files: [`src/${folder}`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: forbidden.map((name) => ({
            group: [`**/${name}/**`],
            message: `Imports point one way: pipes <- net <- blocks, meta <- fs <- cli <- bin.`,
          })),
        },
      ],
    },
  };
}

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'coverage'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/prefer-readonly': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: true },
      ],
      'no-console': 'error',
      eqeqeq: 'error',
    },
  },
  { files: ['src/cli/**', 'bench/**', 'test/**'], rules: { 'no-console': 'off' } },
  {
    files: ['**/*.js', 'bin/*'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
  layer('*.ts', ['net', 'blocks', 'meta', 'fs', 'cli', 'bin']),
  layer('pipes/**', ['net', 'blocks', 'meta', 'fs', 'cli', 'bin']),
  layer('net/**', ['blocks', 'meta', 'fs', 'cli', 'bin']),
  layer('blocks/**', ['meta', 'fs', 'cli', 'bin']),
  layer('meta/**', ['blocks', 'fs', 'cli', 'bin']),
  layer('fs/**', ['cli', 'bin']),
  layer('cli/**', ['bin']),
);
