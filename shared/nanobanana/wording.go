package nanobanana

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

const (
	maxText    = 2000 // bytes of a text that are searched
	maxMessage = 200  // characters of a message in the log
	leastKey   = 8    // characters of an API key; a shorter one could be a word
)

// wordings refine a reason by the wording of the provider's messages; the first match wins. Policy comes
// first, since after it another generation is most surely a waste of money. A message that also
// matches unless does not count. Underscores, hyphens and camel case become spaces before matching.
var wordings = []struct {
	pattern func() *regexp.Regexp
	reason  Reason
	unless  func() *regexp.Regexp
}{
	{anyOf(
		// What the picture would show.
		`nsfw|\bnud(e|ity)|sexual|porn|erotic|explicit(ly)? (content|material|image|picture)|adult content|violen(t|ce)|\bgore\b`,
		`\bhate(ful)?\b|harass|bully|\b(self )?harm|unsafe|danger|illegal|weapon|terroris|\bdrugs?\b|suggestive`,
		`\bminors?\b|underage|child(ren)?\b|\bcsam\b|inappropriate|offensive|objectionable|sensitive|\brisk`,
		// Whose rights it concerns.
		`copyright|trademark|intellectual property|infring|recitation|likeness|celebrit|impersonat|deep ?fake|without consent|living artist|\bspii\b|(public|political) figure|(famous|prominent|real) (person|people)`,
		// Who refused it, and by which rule.
		`flagged|blocked|block ?list|moderat(ed|ion|or)|safety|guard ?rails?|guidelines?|prohibited|disallowed|responsible ?ai|\brai\b`,
		`filtered|content (policy|policies|filter|review|check|inspection|audit|moderation|violation)|data inspection`,
		`(usage|use|community|acceptable|safety) (policy|policies|standards|rules)|violat|(goes|is|are|was) against (our|the)\b|pass [^.;]*(review|moderation|audit|inspection|risk control)`,
		`(banned|forbidden|restricted) (words?|terms?|content|prompts?)|non ?complian|not (in )?compl(y|ian)|not follow [^.;]*(polic|rule|guideline|standard)`,
		`\bprompt (was |is |has been )?(rejected|refused|denied|not allowed)|(rejected|refused|denied) the prompt|withheld`,
		`(can'?t|cannot|unable to|not able to|won'?t) (help|assist)|(model|gemini|google|openai|provider) (has )?(refused|declined)|(refus|declin)\w* (by the model|to (generate|create|draw|edit|make|produce))`,
		`(can'?t|cannot|unable to|not able to|won'?t) (create|generate|edit|draw|make|produce) [^.;]*(depict|images? of)`,
		`违规|违反|违禁|违法|敏感|安全|审核|色情|涉黄|低俗|暴力|血腥|恐怖|政治|涉政|裸露|不当|不雅|不良|未成年`,
		`版权|侵权|商标|肖像|公众人物|名人|明星|真人|拦截|屏蔽|风控|风险|法律法规|不合规|合规(问题|原因)|(内容|使用)政策|社区(准则|规范)|禁止生成|禁用词`,
		`侵犯|抄袭|不支持[^，。；]*人物|受限(内容|人物)|人物形象|(真实|知名)(人物|IP)|不符合[^，。；]*(规范|准则|政策|规定)|通过[^，。；]*(合规|检测|审查)`,
	), Policy, nil},
	{anyOf(`credits?\b.*\binsufficient|\binsufficient\b.*\b(credit|balance)|\btop.?up\b|(余额|积分|额度)不足|请充值`), NoCredits, nil},
	{anyOf(`frequency is too high|too many requests|rate limit|过于频繁`), RateLimited, nil},
	{anyOf(`must not be (blank|null|empty)|不能为空`), BadRequest, nil},
	{anyOf(
		`(fail(ed)? to|failed|unable|cannot|can'?t|could ?n[o']t|error|timed? ?out|timeout|not)\b[^.;]*\b(`+handling+`|get|identify|find)`+toPicture,
		picture+`(`+handling+`)\w*\b[^.;]*\b(fail|error|denied|timed? ?out|timeout|returned)`,
		picture+`(fail(ed|ure)?|unable|cannot|could not)( to)? (`+handling+`)`,
		picture+`(returned|status|http)\b[^.;]*\b[45]\d\d\b`,
		`\b[45]\d\d\b[^.;]*\b(`+handling+`|get)`+toPicture,
		picture+`(can ?not|can'?t|could ?n[o']t|not|unable to|failed to) be [^.;]*\b(`+handling+`|identif|found|used)`,
		picture+`(not (be )?(accessible|reachable|readable|available|valid|supported|allowed|found|public)|inaccessible|unreachable|unreadable|invalid|unsupported|expired)`,
		picture+`(corrupt|broken|damaged|malformed|truncated|animated|empty\b|(zero|0) bytes|must be [^.;]*(png|jpe?g|webp)|format\b|too (large|big|small|many|low)|exceed|(larger|bigger|smaller|more|less) than)`,
		picture+`(dimension|resolution|width|height|pixel|size|ratio)\w*\b[^.;]*\b(must|should|exceed|too|at (least|most)|limit|minimum|maximum|between|invalid|match)`,
		`\bmax(imum)? (image|picture|photo|file) size|\bonly [^.;]*\b(image|picture|photo|file)s\b[^.;]*\b(support|allow|accept)`,
		`\b(invalid|unsupported|corrupt(ed)?|broken|damaged|malformed|empty|missing|inaccessible)`+toPicture,
		`\b(valid|smaller|different|another|supported) (image|picture|photo|file)\b`,
		zhPicture+`[^，。；]*(无法|不能|不可|失败|不符合|非法|不支持|无效|失效|过期|过大|太大|过小|太小|超过|超出|损坏|为空|不存在|不合法|过低|太低|超时|有误|错误|须|应(为|在|小于|大于))`,
		`(无法|不能|未能|无效|不支持|非法|损坏|仅支持|只支持|请上传|请更换|请检查|获取)[^，。；]*`+zhPicture,
	), InputImage, anyOf(
		`\b(result|generated|output|final|rendered|returned) (image|picture|file|url)|upstream|storage|\bstore\b`,
		`(image|picture) (generation|creation|service|model|queue|api|server|backend|task|job|count|size option)|returned (an? )?(empty|invalid)|numimages|num images|parameter|value for|call ?back|(generate|create) (the |an? )?(image|picture)`,
		`生成|结果|保存|上游|存储|数量|张数`,
	)},
	{anyOf(`\bapi ?key\b|unauthori[sz]ed`), Unauthorized, nil},
}

const (
	picture   = `\b(image|picture|photo|file|url|link|media)s?\b[^.;]*\b`
	toPicture = `\w*\b[^.;]*\b(image|picture|photo|file|url|link|media|mime)`
	handling  = `fetch|download|access|load|open|read|decod|process|retriev|pars|reach`
	zhPicture = `(图片|图像|照片|参考图|原图|垫图|文件)`
)

// harmlessPhrases are phrases in which a word of the policy wordings means something else.
var harmlessPhrases = anyOf(
	`(type|thread) safety|illegal (argument|state|param|access|char\w*|format|value)\w*|case (in)?sensitive|sensitive (parameter|header|field)|minor (error|version|issue|update|release)`,
	`\b(account|ip( address)?|api ?key|organi[sz]ation|project)\b[^.;]*\b(blocked|flagged|suspended|banned|violat\w*)[^.;]*`,
	`blocked (by (the )?(firewall|waf|robots\S*|cloudflare|cors)|waiting|on\b|while)`,
	`violat\w* [^.;]*constraint|(constraint|access|protocol|schema) violation`,
	`(moderation|safety|review)( \w+)? (is |was )?(unavailable|timed out|timeout|down|busy|overloaded)`,
	`\b(risk|content|safety|moderation|review)( \w+)? (filter|control|service|system)s? (is |was )?(unavailable|timed out|timeout|down|busy|failed|returned 5\d\d)`,
	`(风控|审核|安全)[^，。；]{0,2}(服务|系统|接口)[^，。；]{0,4}(异常|不可用|超时|繁忙|失败)|敏感参数|大小写敏感|安全(连接|证书|密钥|令牌|传输)|审核服务(异常|不可用|超时|繁忙)|(账号|账户|帐号|帐户)[^，。；]*`,
)

// anyOf returns a pattern that matches any of these expressions.
func anyOf(exprs ...string) func() *regexp.Regexp { return compileOnce(strings.Join(exprs, "|")) }

// compileOnce returns a pattern that matches expr in any case, compiled at its first use: compiling all
// of them would take a twentieth of a cold start, and most instances see no failure.
func compileOnce(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?i)" + expr) })
}

// refine returns the reason that the messages make plain, or else reason.
func refine(reason Reason, messages []string) Reason {
	text := strings.Join(messages, "; ")
	text = splitWords(text[:min(len(text), maxText)]) // a message is a sentence; anything longer is an attack
	if text == "" {
		return reason
	}
	text = harmlessPhrases().ReplaceAllString(text, " ")
	for _, t := range wordings {
		if t.pattern().MatchString(text) && (t.unless == nil || !t.unless().MatchString(text)) {
			return t.reason
		}
	}
	return reason
}

// splitWords writes IMAGE_SAFETY and imageSafety as words.
func splitWords(text string) string {
	var b strings.Builder
	small := false
	for _, r := range text {
		switch {
		case r == '_' || r == '-':
			r = ' '
		case r == '’':
			r = '\''
		case small && unicode.IsUpper(r):
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
		b.WriteRune(r)
	}
	return b.String()
}

// urlPattern matches what a message in the log must not contain: URLs with and without a scheme, data
// URLs, queries, URL escapes, and anything long enough to be a key.
var urlPattern = anyOf(
	`(?:[a-z][a-z0-9+.-]*:(?:\\?/){2}|\bdata:|//|(?:\b[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?/|/v1/(?:callbacks|images)/)`+urlRest,
	`[!-~]*[/?&][!-~]*=`+urlRest, `[!-~]*%[0-9a-f]{2}`+urlRest, `[a-z0-9+/=_-]{48,}`,
)

// urlRest matches the rest of a URL: it passes beyond ASCII only if more of a URL follows.
const urlRest = `[!-~]*(?:[^\s!-~]+[!-~]*[/?&=%#][!-~]*)*`

// keyPattern matches what may be a key or a token if it contains a digit.
var keyPattern = compileOnce(`[a-z0-9+/=_.~-]{16,}`)

// loggable returns a message for the log: one line of at most 200 characters, without links and keys,
// without the secret (the prompt, or our API key), and without control characters.
func loggable(text, secret string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	if secret = strings.TrimSpace(secret); secret != "" {
		text = strings.ReplaceAll(text, secret, "...")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = urlPattern().ReplaceAllString(text, "...")
	text = keyPattern().ReplaceAllStringFunc(text, func(run string) string {
		if strings.ContainsAny(run, "0123456789") {
			return "..."
		}
		return run
	})
	runes := []rune(strings.Join(strings.Fields(text), " "))
	return string(runes[:min(len(runes), maxMessage)])
}
