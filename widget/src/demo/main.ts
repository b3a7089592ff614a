// The demo page: stock yjs and y-websocket on one article; everything shown is read from the document.
// Begin here. notes.ts is the document, anchor.ts finds passages again, view.ts and layout.ts draw the margin.
import { render } from 'lit-html'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { PageText } from './anchor'
import { Announcer } from './announce'
import { arrange, noteAt, paint, place } from './layout'
import { LinkBar } from './link'
import { Moderation, asModerator, tokenIn } from './moderation'
import { Notes } from './notes'
import { onPointed } from './point'
import { offerAnother, thisReader } from './reader'
import { onSelected, select } from './select'
import { marginView, type Actions, type Draft, type PlacedThread } from './view'

const TENANT = 'demo'
const PAGE = 'demo-article'

const element = (id: string): HTMLElement => document.getElementById(id)!
const article = element('article')
const margin = element('margin')
const page = new PageText(article)
const token = tokenIn(location.hash)
const me = thisReader(new URLSearchParams(location.search), token)

// --- the shared document: all there is to joining a page ------------------------------------------
const doc = new Y.Doc()
const notes = new Notes(doc, me.id)
const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
const provider = new WebsocketProvider(`${scheme}://${location.host}/ws/${TENANT}`, PAGE, doc, {
  connect: false,
  protocols: asModerator(token).protocols,
  params: { user: me.id, name: me.name, ...asModerator(token).caps }
})
// Tabs of one user may share edits directly; those of another user must come through the server.
provider.bcChannel += `#${me.id}`
provider.awareness.setLocalStateField('user', me)
const link = new LinkBar(provider, me, element('presence'), element('strip'))
const announcer = new Announcer(element('announcer'), me.id, link.nameOf)
const moderation = new Moderation(provider, token, TENANT, PAGE, { user: me.id, name: me.name }, () => draw())
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

const resized = new ResizeObserver(() => place(margin, page, cards, active))

function draw (): void {
  const threads = notes.threads().map((thread) => ({ ...thread, span: page.spanOf(thread.annotation.target.selector) }))
  const arranged = arrange(threads, draft, ({ id, resolved }) => !resolved || showResolved || id === active)
  cards = arranged.cards
  const beside = { me, now: Date.now(), nameOf: link.nameOf, told: moderation.told, deletions: notes.deletions(), pageClosed: notes.closed('page') }
  render(marginView({ ...arranged, ...beside, showResolved, active, editing, confirming, synced }, actions), margin)
  announcer.tell(threads, provider.synced)
  paint(page, cards, active, hover)
  place(margin, page, cards, active)
  resized.disconnect()
  for (const card of [article, ...margin.querySelectorAll('.card')]) resized.observe(card)
}

function focus (selector: string): void {
  (margin.querySelector<HTMLElement>(selector) ?? margin.querySelector<HTMLElement>('.desk'))?.focus({ preventScroll: true })
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
  startEdit (what) {
    const note = `[data-comment="${(editing ?? what)?.split('/')[1]}"]`
    const atDesk = margin.querySelector('.desk [data-ask]') !== null
    editing = what
    draw()
    if (what === null && atDesk) return focus('.desk')
    focus(what === null ? `${note} .tools button, [data-id="${active}"] .about button` : `${note} .write textarea, [data-ask] textarea`)
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
  showResolved (show) { showResolved = show; draw() },
  moderate (action, entity, reason = '') {
    editing = null
    draw()
    focus(action === 'flag' ? `[data-id="${active}"] .quote` : '.desk')
    void moderation.ask(action, entity, reason).then((sentence) => link.say(sentence))
  }
}

notes.onChange(draw)
notes.onTakenBack(() => link.say('The server did not accept your last change, so it was taken back.'))

// --- selecting, pointing and the keyboard ----------------------------------------------------------
onSelected(article, page, element('ask') as HTMLButtonElement, (span) => {
  if (notes.closed('page') && moderation.told === null) return link.say('A moderator has closed this page: nothing new is taken.')
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

offerAnother(element('second') as HTMLAnchorElement)
provider.awareness.on('change', draw)
provider.on('sync', (now) => { synced ||= now; draw() })
setInterval(draw, 60_000)
draw()
// For the curious: the console can read and write the page too.
Object.assign(globalThis, { margin: { doc, provider, notes } })
