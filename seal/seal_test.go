package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// canary is what nothing here may show.
const canary = "canary-access-token"

// key makes a good key of a seed.
func key(seed byte) string {
	raw := make([]byte, keySize)
	for i := range raw {
		raw[i] = seed + byte(i)*7
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func box(t interface {
	require.TestingT
	Helper()
}, keys ...string,
) *Box {
	t.Helper()
	b, err := New(keys)
	require.NoError(t, err)
	return b
}

func sealed(t interface {
	require.TestingT
	Helper()
}, b *Box, plain, row string,
) []byte {
	t.Helper()
	got, err := b.Seal([]byte(plain), []byte(row))
	require.NoError(t, err)
	return got
}

func TestWhatIsSealedOpensInItsRowOnly(t *testing.T) {
	b := box(t, key(1))
	made := sealed(t, b, canary, "tokens/location/L1")
	assert.NotContains(t, string(made), "canary")
	assert.NotContains(t, string(made), "L1")
	plain, err := b.Open(made, []byte("tokens/location/L1"))
	require.NoError(t, err)
	assert.Equal(t, canary, string(plain))

	for _, row := range []string{"tokens/location/L2", "tokens/location/L", "tokens/location/L11", "tokens", "proof"} {
		_, err = b.Open(made, []byte(row))
		assert.ErrorIs(t, err, ErrDamaged, row)
	}
}

func TestTheSameValueNeverLooksTheSame(t *testing.T) {
	b := box(t, key(1))
	seen := map[string]bool{}
	for range 1000 {
		seen[string(sealed(t, b, canary, "row"))] = true
	}
	assert.Len(t, seen, 1000)
}

func TestAllKeysOpenAndTheFirstOneSeals(t *testing.T) {
	before, during, after := box(t, key(1)), box(t, key(2), key(1)), box(t, key(2))
	old := sealed(t, before, "x", "row")
	_, err := during.Open(old, []byte("row"))
	require.NoError(t, err, "the old key still opens")
	assert.True(t, before.Current(old))
	assert.False(t, during.Current(old))

	fresh := sealed(t, during, "x", "row")
	assert.True(t, during.Current(fresh))
	_, err = after.Open(fresh, []byte("row"))
	require.NoError(t, err)
	_, err = after.Open(old, []byte("row"))
	require.ErrorIs(t, err, ErrKey)
	_, err = before.Open(fresh, []byte("row"))
	require.ErrorIs(t, err, ErrKey, "a program that does not have the new key yet says so")
}

func TestKeysMayBeChangedOnlyForOnesThatOpenWhatIsThere(t *testing.T) {
	old, both, turned, fresh := box(t, key(1)), box(t, key(1), key(2)), box(t, key(2), key(1)), box(t, key(2))
	assert.True(t, both.Follows(old))
	assert.True(t, turned.Follows(both))
	assert.True(t, fresh.Follows(turned))
	assert.False(t, fresh.Follows(old))
	assert.False(t, fresh.Follows(both))
}

func TestAWrongKeyIsFoundByTheProof(t *testing.T) {
	b := box(t, key(1))
	proof, err := b.Proof()
	require.NoError(t, err)
	require.NoError(t, b.Check(proof))
	require.NoError(t, box(t, key(2), key(1)).Check(proof))
	require.ErrorIs(t, box(t, key(2)).Check(proof), ErrKey)

	proof[len(proof)-1]++
	require.ErrorIs(t, b.Check(proof), ErrDamaged)
	require.ErrorIs(t, b.Check(nil), ErrVersion)
	require.ErrorIs(t, b.Check(sealed(t, b, "another", proofRow)), ErrDamaged)
	require.ErrorIs(t, b.Check(sealed(t, b, proven, "row")), ErrDamaged, "a row's value is no proof")
}

func TestWhatCannotBeSealedOrOpenedIsRefused(t *testing.T) {
	b := box(t, key(1))
	_, err := b.Seal([]byte("x"), nil)
	require.ErrorIs(t, err, ErrRow)
	_, err = b.Seal(make([]byte, MaxSize+1), []byte("row"))
	require.ErrorIs(t, err, ErrSize)
	largest := sealed(t, b, strings.Repeat("x", MaxSize), "row")
	plain, err := b.Open(largest, []byte("row"))
	require.NoError(t, err)
	assert.Len(t, plain, MaxSize)

	made := sealed(t, b, "x", "row")
	_, err = b.Open(made, nil)
	require.ErrorIs(t, err, ErrRow)
	for name, test := range map[string]struct {
		sealed []byte
		want   error
	}{
		"nothing":         {nil, ErrVersion},
		"a plain token":   {[]byte(canary), ErrVersion},
		"a later version": {append([]byte{2}, made[1:]...), ErrVersion},
		"a version only":  {made[:1], ErrDamaged},
		"half an id":      {made[:header-1], ErrDamaged},
		"no nonce":        {made[:header], ErrDamaged},
		"a cut tag":       {made[:len(made)-1], ErrDamaged},
		"more than it":    {append(bytes.Clone(made), 0), ErrDamaged},
		"too much":        {append(bytes.Clone(largest), make([]byte, 512)...), ErrSize},
	} {
		_, err := b.Open(test.sealed, []byte("row"))
		require.ErrorIs(t, err, test.want, name)
		if errors.Is(test.want, ErrVersion) || errors.Is(test.want, ErrSize) {
			assert.False(t, b.Current(test.sealed), name)
		}
	}
}

func TestKeysThatCannotBeUsedAreNamedAndNotQuoted(t *testing.T) {
	good := key(1)
	for name, test := range map[string]struct {
		keys []string
		want string
	}{
		"none":            {nil, "there is no key"},
		"empty":           {[]string{""}, "key 1 is not 32 bytes in base64"},
		"a passphrase":    {[]string{good, "correct horse battery staple"}, "key 2 is not 32 bytes in base64"},
		"16 bytes":        {[]string{base64.StdEncoding.EncodeToString([]byte("canary-canary-16"))}, "key 1 is not 32 bytes in base64"},
		"33 bytes":        {[]string{base64.StdEncoding.EncodeToString(make([]byte, 33))}, "key 1 is not 32 bytes in base64"},
		"two in one":      {[]string{good + "\n" + key(2)}, "key 1 is not 32 bytes in base64"},
		"zeros":           {[]string{base64.StdEncoding.EncodeToString(make([]byte, 32))}, "key 1 is not random"},
		"one twice":       {[]string{good, key(2), good}, "key 3 is there twice"},
		"loose last bits": {[]string{good[:42] + "5="}, "key 1 is not 32 bytes in base64"},
	} {
		_, err := New(test.keys)
		require.EqualError(t, err, test.want, name)
	}
}

func TestNothingShowsAKey(t *testing.T) {
	b := box(t, key(1))
	raw, err := base64.StdEncoding.DecodeString(key(1))
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown := fmt.Sprintf(verb, b) + fmt.Sprintf(verb, struct{ B *Box }{b})
		for _, secret := range []string{key(1), string(raw), fmt.Sprintf("%x", raw), fmt.Sprint(raw)} {
			assert.NotContains(t, shown, strings.Trim(secret, "[]"), verb)
		}
	}
}

func TestABoxServesManyAtOnce(t *testing.T) {
	b := box(t, key(2), key(1))
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			row := fmt.Sprint("row", i)
			plain, err := b.Open(sealed(t, b, row, row), []byte(row))
			assert.NoError(t, err)
			assert.Equal(t, row, string(plain))
		})
	}
	group.Wait()
}

func TestAnyValueComesBackInItsRowAndAnyChangeIsNoticed(t *testing.T) {
	b := box(t, key(1), key(2))
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plain")
		row := rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, "row")
		other := rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, "other")
		made, err := b.Seal(plain, row)
		require.NoError(t, err)
		got, err := b.Open(made, row)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))

		if !bytes.Equal(row, other) {
			_, err = b.Open(made, other)
			require.ErrorIs(t, err, ErrDamaged)
		}
		at := rapid.IntRange(0, len(made)-1).Draw(t, "at")
		made[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		_, err = b.Open(made, row)
		require.Error(t, err)
	})
}

func TestAChangeOfKeysCanStopAnywhereAndGoOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seeds := rapid.SliceOfNDistinct(rapid.Byte(), 2, 4, rapid.ID).Draw(t, "keys")
		var keys []string
		for _, seed := range seeds {
			keys = append(keys, key(seed))
		}
		old, both, fresh := box(t, keys[1:]...), box(t, keys...), box(t, keys[0])
		rows := map[string][]byte{}
		for i := range 6 {
			row := fmt.Sprint("row", i)
			rows[row] = sealed(t, old, row, row)
		}
		for range 2 { // the second run finishes what the first left
			limit := rapid.IntRange(0, 6).Draw(t, "so many")
			for row, value := range rows {
				if both.Current(value) || limit == 0 {
					continue
				}
				limit--
				plain, err := both.Open(value, []byte(row))
				require.NoError(t, err)
				rows[row] = sealed(t, both, string(plain), row)
			}
		}
		for row, value := range rows {
			_, err := fresh.Open(value, []byte(row))
			if both.Current(value) {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrKey)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	b := box(f, key(1), key(2))
	f.Add(sealed(f, b, canary, "row"), []byte("row"))
	f.Add(sealed(f, b, canary, "row"), []byte("other"))
	f.Add([]byte{1, 1, 0, 0, 0, 0}, []byte("row"))
	f.Add([]byte(canary), []byte{})
	f.Fuzz(func(t *testing.T, value, row []byte) {
		plain, err := b.Open(value, row)
		if err == nil { // only the seeds can be: nobody guesses a tag
			require.Equal(t, canary, string(plain))
			return
		}
		for _, known := range []error{ErrKey, ErrDamaged, ErrVersion, ErrSize, ErrRow} {
			if errors.Is(err, known) {
				require.Nil(t, plain)
				return
			}
		}
		t.Fatalf("an unknown error: %v", err)
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(key(1))
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := New([]string{text})
		if err != nil {
			if len(text) > 12 {
				require.NotContains(t, err.Error(), text)
			}
			return
		}
		require.NoError(t, b.Check(must(b.Proof())))
	})
}

func must(value []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return value
}

func BenchmarkSeal(b *testing.B) {
	s := box(b, key(1))
	plain, row := []byte(strings.Repeat("x", 2000)), []byte("tokens/location/L") // a pair of GHL's tokens
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		_, _ = s.Seal(plain, row)
	}
}

func BenchmarkOpen(b *testing.B) {
	s := box(b, key(2), key(1))
	row := []byte("tokens/location/L")
	value := sealed(b, box(b, key(1)), strings.Repeat("x", 2000), string(row))
	b.SetBytes(2000)
	for b.Loop() {
		_, _ = s.Open(value, row)
	}
}
