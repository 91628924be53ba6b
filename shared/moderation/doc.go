// Package moderation refuses prompts before they cost anything: what the provider's
// policy would refuse anyway, and what the operator does not want. It knows words, not
// meanings, and lets pass what it does not know; the provider judges every prompt.
//
// # How a prompt is judged
//
// Take "A n4kеd woman, nude-coloured heels", with a Cyrillic е.
//
//  1. Fold (fold.go). Each character becomes what a reader sees: small, without marks,
//     look-alikes as Latin letters: "a n4ked woman, nude-coloured heels".
//  2. Tokens (token.go). The text is cut into runs of letters, digits and signs that
//     can stand for letters: a, n4ked, woman, nude, coloured, heels.
//  3. Words (read.go, spelling.go). Tokens become words of the list: a, naked, woman,
//     nude, coloured, heels. A disguise is undone where that leads to a word of the
//     list: n4ked, naaaked, n*ked, n a k e d, na-ked, nakedwoman. What the list does not
//     have is word 0.
//  4. Terms (terms.txt, list.go). A term has a kind and is one word or several, with
//     alternatives and gaps. Every place where one matches is a hit: naked (sexual
//     content), nude (sexual content), "nude 2~@wearable" (innocent).
//  5. Allowances (verdict.go). A hit that shares a word with an innocent term does not
//     count: the heels excuse nude, and nothing excuses naked. The operator's
//     ALLOWED_TERMS excuse the hits within them, except together with a minor or a real person.
//  6. Verdict (verdict.go). Some kinds are grave only together: a minor or a real person
//     with sexual content anywhere in the prompt, a minor near something suggestive. The
//     gravest category that remains is the answer: sexual_content.
//
// To let a harmless phrase pass, add it to [innocent] in terms.txt; to refuse one, add it
// to its category. Add a prompt for either to testdata/pass.txt or testdata/refuse.txt.
// TestHoldOut measures prompts that the list was not made with: move one from there to
// those files when you change the list for it.
package moderation
