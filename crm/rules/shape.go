package rules

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a file, as its tokens tell them. The parser goes one deeper with each level and with each key of a mapping,
// and takes minutes for a mapping with as many keys as fit into a file: it only ever sees what has been looked at here.
const (
	maxFile   = 1 << 20 // bytes
	maxTokens = 100_000
	maxDepth  = 40 // of nesting
	maxKeys   = 50 // of one mapping
)

// absent are the parts of YAML that a file may not use.
var absent = map[token.Type]string{
	token.AnchorType: "anchors", token.AliasType: "aliases", token.TagType: "tags of YAML", token.MergeKeyType: "merged keys",
	token.DirectiveType: "directives of YAML", token.MappingKeyType: "keys with ?",
}

// tokens splits a file up; nil: it has no shape to go on with.
func (p *reading) tokens(data []byte) token.Tokens {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	switch {
	case len(data) > maxFile:
		p.wrong(nil, "the file has more than %d bytes", maxFile)
		return nil
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		p.wrong(nil, "the file is no text in UTF-8")
		return nil
	}
	p.lines = strings.Split(string(data), "\n")
	// The lexer loses what begins with ! in a last line without an end.
	tokens, err := guarded(func() (token.Tokens, error) { return lexer.Tokenize(string(data) + "\n"), nil })
	switch {
	case err != nil:
		p.wrong(nil, "not YAML")
		return nil
	case len(tokens) > maxTokens:
		p.wrong(nil, "the file has more than %d parts", maxTokens)
		return nil
	}
	if p.shape(tokens); len(p.mistakes) > 0 {
		return nil
	}
	return tokens
}

// level is a list or mapping that is open: its column, and how many keys it has so far.
type level struct{ column, keys int }

func (p *reading) shape(tokens token.Tokens) {
	var levels []level
	flow := 0 // brackets that are open: columns mean nothing inside
	for _, t := range tokens {
		if what, is := absent[t.Type]; is {
			begins := t.Value
			if t.Type == token.TagType {
				begins = "!" // the rest may be a secret that was put into the file
			}
			p.at(t.Position, "%s are not possible here; a text that begins with %s must be in quotes", what, begins)
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(flow-1, 0)
		case token.SequenceEntryType:
			if flow == 0 {
				levels = within(levels, t.Position.Column)
			}
		case token.MappingValueType:
			if flow > 0 || t.Prev == nil {
				continue
			}
			levels = within(levels, t.Prev.Position.Column)
			top := &levels[len(levels)-1]
			if top.keys++; top.keys > maxKeys {
				p.at(t.Prev.Position, "a mapping has more than %d keys", maxKeys)
				return
			}
		}
		if len(levels)+flow > maxDepth {
			p.at(t.Position, "the file is nested more than %d deep", maxDepth)
			return
		}
		if len(p.mistakes) > maxErrors {
			return
		}
	}
}

// within closes the levels that end where something begins in a column, and opens one for it.
func within(levels []level, column int) []level {
	for len(levels) > 0 && levels[len(levels)-1].column > column {
		levels = levels[:len(levels)-1]
	}
	if len(levels) == 0 || levels[len(levels)-1].column < column {
		levels = append(levels, level{column: column})
	}
	return levels
}

// place is where a character of a text stands in the file; where that can't be told exactly, it is where the text begins.
// Offset counts the characters of the text as it is read.
func (p *reading) place(node ast.Node, offset int) (line, column int) {
	if literal, ok := node.(*ast.LiteralNode); ok {
		return p.placeInBlock(literal, offset)
	}
	at := node.GetToken()
	line, column = at.Position.Line, at.Position.Column
	raw := p.line(line)
	if column < 1 || column > len(raw) {
		return line, column
	}
	raw = raw[column-1:]
	i := offset
	switch at.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
		for i = 1; offset > 0 && i < len(raw); offset-- {
			i += written(raw[i:], at.Type)
		}
		if i >= len(raw) { // it is in one of the next lines
			return line, column
		}
	default:
		if !strings.HasPrefix(string(raw), at.Value) {
			return line, column
		}
	}
	return line, column + i
}

// written is how many characters of the file make the next one of a text in quotes.
func written(raw []rune, quotes token.Type) int {
	if len(raw) < 2 {
		return 1
	}
	switch {
	case quotes == token.SingleQuoteType && raw[0] == '\'':
		return 2
	case quotes == token.DoubleQuoteType && raw[0] == '\\':
		switch raw[1] {
		case 'x':
			return 4
		case 'u':
			return 6
		case 'U':
			return 10
		}
		return 2
	}
	return 1
}

// placeInBlock is [reading.place] for a text after |, whose lines are the file's.
func (p *reading) placeInBlock(block *ast.LiteralNode, offset int) (line, column int) {
	line, column = block.Start.Position.Line, block.Start.Position.Column
	if block.Start.Type != token.LiteralType {
		return line, column
	}
	before := []rune(block.Value.Value)[:min(offset, utf8.RuneCountInString(block.Value.Value))]
	nth, last := strings.Count(string(before), "\n"), string(before)
	last = last[strings.LastIndexByte(last, '\n')+1:]
	text := strings.Split(block.Value.Value, "\n")[nth]
	if raw := string(p.line(line + 1 + nth)); strings.HasSuffix(raw, text) {
		return line + 1 + nth, utf8.RuneCountInString(raw) - utf8.RuneCountInString(text) + utf8.RuneCountInString(last) + 1
	}
	return line, column
}

// line is a line of the file, counted from 1.
func (p *reading) line(n int) []rune {
	if n < 1 || n > len(p.lines) {
		return nil
	}
	return []rune(strings.TrimSuffix(p.lines[n-1], "\r"))
}
