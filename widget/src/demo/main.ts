// The demo page: stock yjs and y-websocket on one article; everything shown is read from the document.
// Begin here. notes.ts is the document, anchor.ts finds passages again, view.ts and layout.ts draw the margin.
import { render } from 'lit-html'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { PageText, type Span } from './anchor'
import { Announcer } from './announce'
import { noteAt, paint, place } from './layout'
import { LinkBar } from './link'
import { Notes, type Annotation } from './notes'
import { onPointed } from './point'
import { inventId, thisReader } from './reader'
import { onSelected, select } from './select'
import { marginView, type Actions, type Draft, type PlacedThread } from './view'

const TENANT = 'demo'
const PAGE = 'demo-article'

const element = (id: string): HTMLElement => document.getElementById(id)!
const article = element('article')
const margin = element('margin')
const page = new PageText(article)
const me = thisReader(new URLSearchParams(location.search))

// --- the shared document: all there is to joining a page ------------------------------------------
const doc = new Y.Doc()
const notes = new Notes(doc, me.id)
const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
const provider = new WebsocketProvider(`${scheme}://${location.host}/ws/${TENANT}`, PAGE, doc, {
  connect: false,
  params: { user: me.id, name: me.name }
})
// Tabs of one user may share edits directly; those of another user must come through the server.
provider.bcChannel += `#${me.id}`
provider.awareness.setLocalStateField('user', me)
const link = new LinkBar(provider, me, element('presence'), element('strip'))
const announcer = new Announcer(element('announcer'), me.id, link.nameOf)
provider.connect()

// --- the margin: drawn anew from the document after each change -----------------------------------
let cards: Array<PlacedThread | Draft> = []
let draft: Draft | null = null
let active: string | null = null
let hover: string | null = null
let editing: string | null = null
let confirming: string | null = null
let showResolved = false
let synced = false

const spans = new WeakMap<Annotation, Span | null>()
const resized = new ResizeObserver(() => place(margin, page, cards, active))

function spanOf (annotation: Annotation): Span | null {
  if (!spans.has(annotation)) spans.set(annotation, page.anchor(annotation.target.selector))
  return spans.get(annotation)!
}

function draw (): void {
  const threads = notes.threads().map((thread) => ({ ...thread, span: spanOf(thread.annotation) }))
  const shown = threads.filter(({ id, resolved }) => !resolved || showResolved || id === active)
  const start = ({ span }: { span: Span | null }): number => span?.start ?? Infinity
  shown.sort((a, b) => a.annotation.created - b.annotation.created)
  cards = draft === null ? shown : [...shown, draft]
  cards.sort((a, b) => start(a) === start(b) ? 0 : start(a) - start(b))
  const hidden = threads.length - shown.length
  const now = Date.now()
  render(marginView({ cards, hidden, showResolved, active, editing, confirming, synced, me, now, nameOf: link.nameOf }, actions), margin)
  paint(page, cards, active, hover)
  place(margin, page, cards, active)
  resized.disconnect()
  for (const card of [article, ...margin.querySelectorAll('.card')]) resized.observe(card)
}

function focus (selector: string): void {
  margin.querySelector<HTMLElement>(selector)?.focus({ preventScroll: true })
}

const actions: Actions = {
  activate (thread) {
    const before = active;
    [active, editing, confirming] = [thread, null, null]
    draw()
    const span = cards.find(({ id }) => id === thread)?.span
    if (thread === null) return focus(`[data-id="${before}"] .quote`)
    if (span != null) page.range(span).startContainer.parentElement?.scrollIntoView({ block: 'nearest' })
  },
  annotate (body) {
    if (draft === null) return
    const selectors = page.describe(draft.span)
    draft = null
    active = notes.annotate(selectors, body)
    draw()
    focus(`[data-id="${active}"] .quote`)
  },
  discard () {
    if (draft === null) return
    const range = page.range(draft.span)
    draft = null
    draw()
    select(range)
  },
  reply (thread, body) {
    notes.reply(thread, body)
    focus(`[data-id="${thread}"] .quote`)
  },
  startEdit (comment) {
    const before = editing ?? comment
    editing = comment
    draw()
    focus(`[data-comment="${before?.split('/')[1]}"] ${comment === null ? '.tools button' : 'textarea'}`)
  },
  edit (thread, comment, body) {
    notes.edit(thread, comment, body)
    actions.startEdit(null)
  },
  resolve (thread, resolved) {
    if (resolved && !showResolved) active = null
    notes.resolve(thread, resolved)
  },
  arm (name) { confirming = name; draw() },
  disarm (name) {
    // Later: this comes from `blur`, also when drawing itself takes the focused button away.
    setTimeout(() => { if (confirming === name) { confirming = null; draw() } })
  },
  remove (thread, comment) {
    confirming = null
    notes.delete(thread, comment)
  },
  showResolved (show) { showResolved = show; draw() }
}

let queued = 0
doc.on('afterTransaction', ({ local, changed }) => {
  if (changed.size === 0) return
  if (local) return draw()
  // A burst of other people's updates is drawn once.
  queued ||= setTimeout(() => { queued = 0; draw(); announce() })
})
const announce = (): void => announcer.tell(notes.threads(), provider.synced)
notes.onTakenBack(() => link.say('The server did not accept your last change, so it was taken back.'))

// --- selecting, pointing and the keyboard ----------------------------------------------------------
onSelected(article, page, element('ask') as HTMLButtonElement, (span) => {
  draft = { id: 'draft', quote: page.text.slice(span.start, span.end), span };
  [active, editing] = [null, null]
  draw()
  focus('[data-id="draft"] textarea')
})
onPointed(
  article, margin, (x, y) => noteAt(page, cards, x, y),
  (thread) => { hover = thread; paint(page, cards, active, hover) },
  (thread) => { if (thread !== 'draft' && thread !== active) actions.activate(thread) }
)
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && active !== null) actions.activate(null)
})

const second = element('second') as HTMLAnchorElement
const another = (): void => { second.href = `?user=${inventId()}` }
second.addEventListener('click', () => setTimeout(another))
another()

provider.awareness.on('change', draw)
provider.on('sync', (now) => { synced ||= now; draw(); announce() })
setInterval(draw, 60_000)
draw()
// For the curious: the console can read and write the page too.
Object.assign(globalThis, { margin: { doc, provider, notes } })
