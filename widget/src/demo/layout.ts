// Where things are on the page: highlights, cards beside their passages, and which note lies under a point.
import type { PageText, Span } from './anchor'

const GAP = 14

/** A thing in the margin that belongs to a passage. */
export interface Placed { id: string, span: Span | null, resolved?: boolean }
interface Shown extends Placed { annotation: { created: number } }

/** What is shown of all threads, in the order of their passages, the draft among them. */
export function arrange<T extends Shown, D extends Placed> (
  threads: T[], draft: D | null, shows: (thread: T) => boolean
): { cards: Array<T | D>, hidden: number } {
  const shown = threads.filter(shows)
  const start = ({ span }: Placed): number => span?.start ?? Infinity
  shown.sort((a, b) => a.annotation.created - b.annotation.created)
  const cards = draft === null ? shown : [...shown, draft]
  cards.sort((a, b) => start(a) === start(b) ? 0 : start(a) - start(b))
  return { cards, hidden: threads.length - shown.length }
}

/** Paints the passages with the CSS Custom Highlight API: the article's own DOM stays untouched. */
export function paint (page: PageText, placed: Placed[], active: string | null, hover: string | null): void {
  if (!('highlights' in CSS)) return
  const ranges = (chosen: (thing: Placed) => boolean): Range[] =>
    placed.flatMap((thing) => thing.span !== null && chosen(thing) ? [page.range(thing.span)] : [])
  const isActive = ({ id }: Placed): boolean => id === active || id === hover || id === 'draft'
  CSS.highlights.set('note', new Highlight(...ranges((thing) => thing.resolved !== true && !isActive(thing))))
  CSS.highlights.set('note-resolved', new Highlight(...ranges((thing) => thing.resolved === true && !isActive(thing))))
  const front = new Highlight(...ranges(isActive))
  front.priority = 1
  CSS.highlights.set('note-active', front)
}

/**
 * Puts each card at the height of its passage. The active one gets exactly its place, the others make
 * room upwards and downwards. On narrow screens the style sheet lists the cards instead (`top` is unused).
 */
export function place (margin: HTMLElement, page: PageText, placed: Placed[], active: string | null): void {
  const origin = margin.querySelector('.cards')?.getBoundingClientRect().top ?? 0
  const found = new Map([...margin.querySelectorAll<HTMLElement>('.card')].map((card) => [card.dataset['id'], card]))
  const cards = placed.flatMap(({ id, span }) => {
    const card = found.get(id)
    const wanted = span === null ? Infinity : page.range(span).getBoundingClientRect().top - origin
    return card === undefined ? [] : [{ id, card, wanted, height: card.offsetHeight }]
  })
  const focus = Math.max(0, cards.findIndex(({ id }) => id === 'draft' || id === active))
  const tops: number[] = []
  let edge = 0
  cards.forEach(({ wanted, height }, i) => {
    const top = i === focus && wanted !== Infinity ? Math.max(0, wanted) : Math.max(edge, wanted === Infinity ? edge : wanted)
    tops.push(top)
    edge = top + height + GAP
  })
  for (let i = focus - 1; i >= 0; i--) tops[i] = Math.min(tops[i]!, tops[i + 1]! - cards[i]!.height - GAP)
  cards.forEach(({ card }, i) => card.style.setProperty('top', `${Math.round(tops[i]!)}px`))
  margin.style.setProperty('min-height', `${Math.round(edge + 80)}px`)
}

/** The note whose passage lies under a point of the window; of several the shortest. */
export function noteAt (page: PageText, placed: Placed[], x: number, y: number): string | null {
  const under = placed.filter(({ span }) => span !== null && covers(page.range(span), x, y))
  const length = ({ span }: Placed): number => span!.end - span!.start
  under.sort((a, b) => length(a) - length(b))
  return under[0]?.id ?? null
}

function covers (range: Range, x: number, y: number): boolean {
  return [...range.getClientRects()].some((box) =>
    box.left <= x && x <= box.right && box.top <= y && y <= box.bottom)
}
