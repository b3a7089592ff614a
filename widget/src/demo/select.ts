// Selecting a passage of the article: a button beside the selection, or Ctrl+Alt+M.
import { LONGEST_QUOTE, type PageText, type Span } from './anchor'

/** Calls `begin` with the passage that the reader has selected and wants to write about. */
export function onSelected (
  article: HTMLElement, page: PageText, ask: HTMLButtonElement, begin: (span: Span) => void
): void {
  function selected (): Span | null {
    const selection = getSelection()
    if (selection === null || selection.isCollapsed || selection.rangeCount === 0) return null
    const range = selection.getRangeAt(0)
    return article.contains(range.commonAncestorContainer) ? page.span(range) : null
  }

  function offer (): void {
    const span = selected()
    ask.hidden = span === null
    if (span === null) return
    ask.disabled = span.end - span.start > LONGEST_QUOTE
    ask.textContent = ask.disabled ? 'Too long for one note' : 'Write a note'
    const box = [...page.range(span).getClientRects()].at(-1)!
    const right = document.documentElement.clientWidth - ask.offsetWidth - 12
    ask.style.setProperty('top', `${box.bottom + scrollY + 8}px`)
    ask.style.setProperty('left', `${Math.max(12, Math.min(box.right - ask.offsetWidth / 2, right))}px`)
  }

  function take (): void {
    const span = selected()
    if (span === null || span.end - span.start > LONGEST_QUOTE) return
    getSelection()?.removeAllRanges()
    begin(span)
  }

  document.addEventListener('selectionchange', offer)
  ask.addEventListener('pointerdown', (event) => event.preventDefault())
  ask.addEventListener('click', take)
  document.addEventListener('keydown', (event) => {
    if (event.code === 'KeyM' && event.altKey && (event.ctrlKey || event.metaKey)) take()
  })
}

/** Selects a passage again. */
export function select (range: Range): void {
  getSelection()?.removeAllRanges()
  getSelection()?.addRange(range)
}
