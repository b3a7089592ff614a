// Builds what the browser loads into crdt_chat/static (or the folder given): bundle, fonts, notices.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const modules = join(here, 'node_modules')
const out = resolve(process.argv[2] ?? join(here, '../crdt_chat/static'))

const FONTS = {
  'eb-garamond': ['eb-garamond-latin-wght-normal.woff2', 'eb-garamond-latin-wght-italic.woff2'],
  'source-sans-3': ['source-sans-3-latin-wght-normal.woff2']
}
const BUNDLED = ['lib0', 'lit-html', 'y-protocols', 'y-websocket', 'yjs']

await mkdir(out, { recursive: true })
await build({
  absWorkingDir: here,
  entryPoints: { demo: 'src/demo/main.ts' },
  outdir: out,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  banner: { js: '/*! crdt-chat demo; licences of what is bundled: /static/NOTICES.txt */' }
})

const notices = ['What /static contains besides crdt-chat itself (MIT), with the licences that ask to travel with it.']
for (const name of [...BUNDLED, ...Object.keys(FONTS).map((font) => `@fontsource-variable/${font}`)]) {
  const { version } = JSON.parse(await readFile(join(modules, name, 'package.json'), 'utf8'))
  const licence = await readFile(join(modules, name, 'LICENSE'), 'utf8')
  notices.push(`${'='.repeat(80)}\n${name} ${version}\n${'='.repeat(80)}\n\n${licence.trim()}`)
}
await writeFile(join(out, 'NOTICES.txt'), notices.join('\n\n') + '\n')

for (const [font, files] of Object.entries(FONTS)) {
  for (const file of files) {
    await copyFile(join(modules, '@fontsource-variable', font, 'files', file), join(out, file))
  }
}
