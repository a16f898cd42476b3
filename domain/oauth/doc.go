// Package oauth says which applications may ask users to act for them: Bitbucket's incoming
// application links. What a user then lets one do is an event of that user (domain/account).
package oauth
