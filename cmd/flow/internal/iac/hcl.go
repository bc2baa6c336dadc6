package iac

import (
	"encoding/json"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// traversal writes names with dots between.
func traversal(names ...string) hclwrite.Tokens {
	t := hcl.Traversal{hcl.TraverseRoot{Name: names[0]}}
	for _, n := range names[1:] {
		t = append(t, hcl.TraverseAttr{Name: n})
	}
	return hclwrite.TokensForTraversal(t)
}

// texts writes a map of texts.
func texts(m words) hclwrite.Tokens {
	var list []hclwrite.ObjectAttrTokens
	for _, k := range m.sorted() {
		list = append(list, hclwrite.ObjectAttrTokens{Name: hclwrite.TokensForValue(cty.StringVal(k)), Value: hclwrite.TokensForValue(cty.StringVal(m[k]))})
	}
	return hclwrite.TokensForObject(list)
}

// template writes a text of parts: a string stands as it is, of tokens their value.
func template(parts ...any) hclwrite.Tokens {
	out := hclwrite.Tokens{{Type: hclsyntax.TokenOQuote, Bytes: []byte{'"'}}}
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			quoted := hclwrite.TokensForValue(cty.StringVal(p))
			out = append(out, quoted[1:len(quoted)-1]...)
		case hclwrite.Tokens:
			out = append(out, &hclwrite.Token{Type: hclsyntax.TokenTemplateInterp, Bytes: []byte("${")})
			out = append(out, p...)
			out = append(out, &hclwrite.Token{Type: hclsyntax.TokenTemplateSeqEnd, Bytes: []byte{'}'}})
		}
	}
	return append(out, &hclwrite.Token{Type: hclsyntax.TokenCQuote, Bytes: []byte{'"'}})
}

// ctyOf returns a value that has no parts.
func ctyOf(v any) cty.Value {
	switch v := v.(type) {
	case string:
		return cty.StringVal(v)
	case bool:
		return cty.BoolVal(v)
	case int64:
		return cty.NumberIntVal(v)
	case float64:
		return cty.NumberFloatVal(v)
	}
	return cty.NullVal(cty.DynamicPseudoType)
}

// comment writes a line that Terraform does not read.
func comment(body *hclwrite.Body, text string) {
	text = strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, text)
	body.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + text + "\n")}})
}

// inline writes a value in a line, for people.
func inline(v any) string {
	out, err := json.Marshal(plain(v))
	if err != nil {
		return "?"
	}
	return string(out)
}
