package ops

import (
	"context"
	"flag"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// The ids of tokens that were given none.
const (
	defaultPersonalID = "claude"
	defaultServiceID  = "preset"
)

const tokenAddUsage = "Usage: bin/ops token add personal OWNER [ID], or bin/ops token add service [ID]"

var tokenAddCommand = Command{
	Name: "token add", Args: "KIND [OWNER] [ID]", Short: "make a personal or a service token, shown once",
	Writes: true, Rights: secretRights,
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			made, add, err := newToken(args)
			if err != nil {
				return Result{}, err
			}
			if err := vault.Change(ctx, e.Secret, func(_ vault.Version, d *vault.Document) error { return add(d) }); err != nil {
				return Result{}, err
			}
			return Result{Report: made, Next: "token list"}, nil
		}
	},
}

// newToken makes the token that args ask for, and what adds its hash to the secret.
func newToken(args []string) (made tokenAdded, add func(*vault.Document) error, err error) {
	kind, rest := vault.TokenKind(args[0]), args[1:]
	switch {
	case kind == vault.Personal && (len(rest) == 1 || len(rest) == 2):
		rest = append(rest, defaultPersonalID)[:2]
		secret, kept := token.NewPersonalToken(rest[0], rest[1])
		made = tokenAdded{Kind: kind, ID: kept.ID, Token: secret}
		add, err = func(d *vault.Document) error { return d.AddPersonal(kept) }, token.PersonalTokens{kept}.Check("personalTokens")
	case kind == vault.Service && len(rest) <= 1:
		rest = append(rest, defaultServiceID)[:1]
		secret, kept := token.NewServiceToken(rest[0])
		made = tokenAdded{Kind: kind, ID: kept.ID, Token: secret}
		add, err = func(d *vault.Document) error { return d.AddService(kept) }, token.ServiceTokens{kept}.Check("serviceTokens")
	default:
		return made, nil, Usagef("a token is personal, of one user, or service, of a server of yours. %s", tokenAddUsage)
	}
	if err != nil {
		return made, nil, Usagef("%v. %s", err, tokenAddUsage)
	}
	return made, add, nil
}

type tokenAdded struct {
	Kind  vault.TokenKind `json:"kind"`
	ID    string          `json:"id"`
	Token string          `json:"token"` // the only time that it is seen
}

// Print implements Report.
func (r tokenAdded) Print(p *Page) {
	recipient := "the server that will use it"
	if r.Kind == vault.Personal {
		recipient = "its user, for Claude Code or a script"
	}
	p.Line("This token is shown only once. Give it to %s:", recipient)
	p.Blank()
	p.Raw("  " + r.Token)
	p.Blank()
	p.Line("The secret has its hash, as the %s token %s. It is accepted within 5 minutes.", r.Kind, r.ID)
	if r.Kind == vault.Personal {
		p.Line("It works only for /mcp.")
	}
}

var tokenListCommand = Command{
	Name: "token list", Short: "the tokens that the secret has hashes of",
	Rights: secretRights[:1],
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			_, d, err := readSecret(ctx, e)
			if err != nil {
				return Result{}, err
			}
			return Result{Report: tokenList{Tokens: append([]vault.Token{}, d.Tokens()...)}}, nil
		}
	},
}

// tokenList is the one report that names owners: whose a token is decides whether it is
// revoked.
type tokenList struct {
	Tokens []vault.Token `json:"tokens"`
}

// Print implements Report.
func (r tokenList) Print(p *Page) {
	p.Line("%s.", Count(len(r.Tokens), "token"))
	if len(r.Tokens) == 0 {
		return
	}
	p.Blank()
	var rows [][]string
	for _, t := range r.Tokens {
		rows = append(rows, []string{string(t.Kind), t.ID, t.Owner})
	}
	p.Table([]string{"KIND", "ID", "OWNER"}, rows...)
}

var tokenRevokeCommand = Command{
	Name: "token revoke", Args: "ID", Short: "accept a token no more",
	Writes: true, Rights: secretRights,
	Setup: func(f *flag.FlagSet) Run {
		kind := f.String("kind", "", "personal or service, where both have a token of this `ID`")
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			if k := vault.TokenKind(*kind); k != "" && k != vault.Personal && k != vault.Service {
				return Result{}, Usagef("-kind is personal or service")
			}
			var gone vault.Token
			err := vault.Change(ctx, e.Secret, func(_ vault.Version, d *vault.Document) (err error) {
				gone, err = d.Revoke(args[0], vault.TokenKind(*kind))
				return err
			})
			if err != nil {
				return Result{}, err
			}
			return Result{Report: tokenRevoked{Kind: gone.Kind, ID: gone.ID}, Next: "token list"}, nil
		}
	},
}

type tokenRevoked struct {
	Kind vault.TokenKind `json:"kind"`
	ID   string          `json:"id"`
}

// Print implements Report.
func (r tokenRevoked) Print(p *Page) {
	p.Line("The %s token %s is revoked. The functions that run refuse it within 5 minutes.", r.Kind, r.ID)
}
